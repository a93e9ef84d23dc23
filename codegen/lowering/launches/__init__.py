"""Kernels of several layers in one launch: side by side, or one handing its work to the next."""
