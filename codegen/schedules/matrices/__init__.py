"""Schedules of products of matrices that both depend on the network's input."""
