"""The torch operators that may fall back to TVM's own translation and schedules; torch-free.

A name is here only where `tests/host/test_fallback.py` has run it on a device against float64. Of an operator that
takes more than TVM does, `models.frontend.foreign` says which of its calls are taken.
"""

from __future__ import annotations

#: name and overload of each operator
OPERATORS = frozenset(
    {
        "conv3d.default",
        "gather.default",
        "grid_sampler.default",
    }
)
