"""Operators along a sequence: running sums as products with a triangle of ones, differences as those of slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_aten: Any = torch.ops.aten
#: the longest sequence that is summed by a product: its multiply-adds grow with the square
LONGEST = 2048


def _cumsum(x: torch.Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    if not x.ndim or not x.is_floating_point() or x.shape[dim] > LONGEST or dtype not in (None, x.dtype):
        return NotImplemented
    extent = x.shape[dim]
    triangle = torch.ones(extent, extent, dtype=x.dtype, device=x.device).triu()
    return torch.matmul(x.movedim(dim, -1), triangle).movedim(-1, dim)


def _diff(
    x: torch.Tensor, n: int = 1, dim: int = -1, prepend: torch.Tensor | None = None, append: torch.Tensor | None = None
) -> torch.Tensor:
    parts = [part for part in (prepend, x, append) if part is not None]
    x = torch.cat(parts, dim) if len(parts) > 1 else x
    for _ in range(n):
        rest = x.shape[dim] - 1
        x = x.narrow(dim, 1, rest) - x.narrow(dim, 0, rest)
    return x


def _tril(x: torch.Tensor, diagonal: int = 0) -> torch.Tensor:
    return x * (_columns_less_rows(x) <= diagonal).to(x.dtype)


def _triu(x: torch.Tensor, diagonal: int = 0) -> torch.Tensor:
    return x * (_columns_less_rows(x) >= diagonal).to(x.dtype)


def _columns_less_rows(x: torch.Tensor) -> torch.Tensor:
    """The column less the row of each element of a matrix."""
    rows, columns = x.shape[-2:]
    return torch.arange(columns, device=x.device) - torch.arange(rows, device=x.device)[:, None]


#: operator -> what computes it of others
SEQUENCES: dict[Any, Callable[..., Any]] = {
    _aten.cumsum.default: _cumsum,
    _aten.diff.default: _diff,
    _aten.tril.default: _tril,
    _aten.triu.default: _triu,
}
