"""Operators that combine elements along axes of tensors of any rank: norms, softmax, linear layers, products."""
