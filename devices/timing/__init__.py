"""Timing on a device: samples on two clocks, interleaved runs, and measurements with their conditions."""
