"""What a module returns: how it is nested, which of it are views of maps, and what depends on the data."""
