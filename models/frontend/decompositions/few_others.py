"""Arithmetic and slices that are a few others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_aten: Any = torch.ops.aten


def _glu(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    values, gates = x.chunk(2, dim)
    return values * torch.sigmoid(gates)


def _addcmul(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor, *, value: float = 1) -> torch.Tensor:
    return torch.add(x, first * second, alpha=value)


def _addcdiv(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor, *, value: float = 1) -> torch.Tensor:
    return torch.add(x, first / second, alpha=value)


def _lerp(start: torch.Tensor, end: torch.Tensor, weight: torch.Tensor | float) -> torch.Tensor:
    return start * (1 - weight) + end * weight


def _logit(x: torch.Tensor, eps: float | None = None) -> torch.Tensor:
    x = x if eps is None else torch.clamp(x, eps, 1 - eps)
    return torch.log(x / (1 - x))


def _logsumexp(x: torch.Tensor, dim: list[int], keepdim: bool = False) -> torch.Tensor:
    largest = torch.amax(x, dim, True)
    total = largest + torch.log(torch.sum(torch.exp(x - largest), dim, True))
    return total if keepdim else torch.sum(total, dim)


def _var_mean(
    x: torch.Tensor, dim: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.var(x, dim, correction=correction, keepdim=keepdim), torch.mean(x, dim, keepdim)


def _copy(x: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:  # noqa: ARG001  its schema
    return source.expand_as(x).to(x.dtype)


def _fill(x: torch.Tensor, value: float) -> torch.Tensor:
    return torch.full_like(x, value)


def _fill_from(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return value.expand_as(x)


def _hstack(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(tensors, min(tensors[0].ndim - 1, 1))


def _slice_scatter(
    x: torch.Tensor, source: torch.Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> torch.Tensor:
    """`x` with a slice of it replaced: what x[:, a:b] = y comes to."""
    extent = x.shape[dim]
    replaced = list(range(extent))[slice(start, end, step)]
    rows = [
        source.narrow(dim, replaced.index(at), 1) if at in replaced else x.narrow(dim, at, 1) for at in range(extent)
    ]
    if step == 1 and replaced:
        first, last = replaced[0], replaced[-1] + 1
        rows = [x.narrow(dim, 0, first), source, x.narrow(dim, last, extent - last)]
    return torch.cat([row for row in rows if row.shape[dim]], dim)


def _select_scatter(x: torch.Tensor, source: torch.Tensor, dim: int, index: int) -> torch.Tensor:
    at = index % x.shape[dim]
    return _slice_scatter(x, source.unsqueeze(dim), dim, at, at + 1)


def _clamp_by_tensors(
    x: torch.Tensor, min: torch.Tensor | None = None, max: torch.Tensor | None = None
) -> torch.Tensor:
    x = x if min is None else torch.maximum(x, min)
    return x if max is None else torch.minimum(x, max)


#: operator -> what computes it of others
FEW_OTHERS: dict[Any, Callable[..., Any]] = {
    _aten.glu.default: _glu,
    _aten.addcmul.default: _addcmul,
    _aten.addcdiv.default: _addcdiv,
    _aten.lerp.Scalar: _lerp,
    _aten.lerp.Tensor: _lerp,
    _aten.logit.default: _logit,
    _aten.var_mean.correction: _var_mean,
    _aten.copy.default: _copy,
    _aten.fill.Scalar: _fill,
    _aten.fill.Tensor: _fill_from,
    _aten.hstack.default: _hstack,
    _aten.slice_scatter.default: _slice_scatter,
    _aten.select_scatter.default: _select_scatter,
    _aten.clamp.Tensor: _clamp_by_tensors,
    _aten.logsumexp.default: _logsumexp,
}
