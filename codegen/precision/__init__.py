"""Which layers half precision does not suffice for, as photographs show."""
