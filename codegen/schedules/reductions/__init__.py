"""Schedules of layers that combine elements of a map: normalisation, softmax, sums and means over axes."""
