"""Deciding where zeros pay: losses, options, assignment, measuring what is uncertain, refinement, reasons."""
