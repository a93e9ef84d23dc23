"""The steps of epilogues in torch, from their definitions: what kernels are compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from models.graph.layer import Step

_BINARY: dict[str, Callable[..., torch.Tensor]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "rsub": lambda x, y: y - x,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "rdiv": lambda x, y: y / x,
    "max": torch.maximum,
    "min": torch.minimum,
    "prelu": lambda x, y: torch.where(x > 0, x, x * y),
    "gt": lambda x, y: (x > y).to(x.dtype),
    "ge": lambda x, y: (x >= y).to(x.dtype),
    "lt": lambda x, y: (x < y).to(x.dtype),
    "le": lambda x, y: (x <= y).to(x.dtype),
    "eq": lambda x, y: (x == y).to(x.dtype),
    "keep": lambda x, y, value: torch.where(y != 0, x, value),
    "fill": lambda x, y, value: torch.where(y == 0, x, value),
}

_UNARY: dict[str, Callable[..., torch.Tensor]] = {
    "affine": lambda x, scale, shift: x * scale + shift,
    "relu": lambda x: x.clamp(min=0),
    "relu6": lambda x: x.clamp(0, 6),
    "leaky_relu": lambda x, slope: torch.where(x > 0, x, x * slope),
    "hardtanh": lambda x, low, high: x.clamp(low, high),
    "elu": lambda x, alpha: torch.where(x > 0, x, alpha * torch.expm1(x)),
    "sigmoid": torch.sigmoid,
    "silu": lambda x: x * torch.sigmoid(x),
    "hardsigmoid": lambda x: (x + 3).clamp(0, 6) / 6,
    "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "gelu_tanh": lambda x: x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2,
    "mish": lambda x: x * torch.tanh(F.softplus(x)),
    "tanh": torch.tanh,
    "softplus": lambda x: x.clamp(min=0) + torch.log1p(torch.exp(-x.abs())),
    "softsign": lambda x: x / (1 + x.abs()),
    "threshold": lambda x, threshold, value: torch.where(x > threshold, x, value),
    "pow": lambda x, exponent: x**exponent,
    "abs": torch.abs,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "atan": torch.atan,
    "erf": torch.erf,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "trunc": torch.trunc,
    "sign": torch.sign,
}


def apply_step(step: Step, x: torch.Tensor) -> torch.Tensor:
    """A step of one operand."""
    return _UNARY[step.kind](x, *step.params)


def combine(step: Step, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A step of `models.graph.layer.BINARY`: of the value so far and what the step reads, broadcast to it."""
    return _BINARY[step.kind](x, other, *step.params)
