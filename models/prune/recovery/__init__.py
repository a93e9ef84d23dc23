"""Accuracy won back after reconstruction: kept weights moved by gradients, block by block or all together."""
