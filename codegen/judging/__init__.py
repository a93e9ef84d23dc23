"""Judging by float64: what layers and networks should compute, and how far rounding may take a device from it."""
