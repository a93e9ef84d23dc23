"""Timing layers and networks for the latency model: what to time, interleaved runs, the reference kernel."""
