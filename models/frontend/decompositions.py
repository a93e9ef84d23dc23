"""Operators that are a few others: what torch writes them as while a program is prepared for reading."""

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


#: operator -> what computes it of others
DECOMPOSITIONS: dict[Any, Callable[..., torch.Tensor]] = {
    _aten.glu.default: _glu,
    _aten.addcmul.default: _addcmul,
    _aten.addcdiv.default: _addcdiv,
    _aten.lerp.Scalar: _lerp,
    _aten.lerp.Tensor: _lerp,
    _aten.logit.default: _logit,
    _aten.logsumexp.default: _logsumexp,
}
