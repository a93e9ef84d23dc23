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


#: operator -> what computes it of others
DECOMPOSITIONS: dict[Any, Callable[..., torch.Tensor]] = {
    _aten.glu.default: _glu,
    _aten.addcmul.default: _addcmul,
    _aten.addcdiv.default: _addcdiv,
    _aten.lerp.Scalar: _lerp,
    _aten.lerp.Tensor: _lerp,
}
