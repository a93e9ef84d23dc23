"""Pruning: which weights of a layer are kept under a sparsity, and how a network learns to do without the others."""
