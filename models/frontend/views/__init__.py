"""Tensors that are only rearranged: followed as index maps, and made into layers where a real operator reads them."""
