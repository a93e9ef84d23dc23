"""Multiply-adds as GPUs' compilers want them: pointers that advance in the loop, and weights by whole vectors."""
