"""Depth determination: families of networks, their candidates, and the search among them."""
