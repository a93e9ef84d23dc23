"""What the four packages share: errors with exit statuses, the command-line frame, atomic files.

This package is the floor of the project: it knows nothing of layers, kernels or devices and imports only the
standard library.
"""
