"""Transposed convolutions: dense and sparse, as small convolutions of stride 1 whose results are interleaved."""
