"""The torch operators that may fall back to TVM's own translation and schedules; torch-free.

A name is here only where `tests/host/test_fallback.py` has run it on a device against float64. Of an operator that
takes more than TVM does, `models.frontend.foreign` says which of its calls are taken.
"""

from __future__ import annotations

#: name and overload of each operator
OPERATORS = frozenset(
    (
        *("conv2d.default", "conv2d.padding", "conv3d.default", "conv_transpose2d.input"),
        *("max_pool3d.default", "avg_pool3d.default"),
        *("affine_grid_generator.default", "grid_sampler.default", "gather.default", "take.default"),
        *("einsum.default", "linalg_vector_norm.default"),
        *("celu.default", "softshrink.default", "logaddexp.default", "cosh.default", "sinh.default", "pow.Scalar"),
        *("fmod.Scalar", "fmod.Tensor", "remainder.Scalar", "remainder.Tensor"),
    )
)
