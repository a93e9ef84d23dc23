"""From object code to a shared object, and reading back what was linked."""
