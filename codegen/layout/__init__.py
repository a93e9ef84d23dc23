"""Where tensors lie: planes with borders, and the buffer of each tensor of a graph."""
