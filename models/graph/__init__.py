"""Networks as values: fused layers, the Graph of them, receptive fields, and the float64 executor."""
