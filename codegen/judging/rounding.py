"""Rounding: how far from float64 a layer's result may be where nothing but rounding errs.

A sum of K products, each of them and each partial sum rounded with unit roundoff u, ends about

    u sqrt(K) x (size of the sum)

away from the exact one: rounding errors are as good as random, so that their sum grows as a random walk does (Higham
and Mary, "A new approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019). Of a filter the
size of the sum is |w| x (root mean square of the input), |w| being the norm of the filter: K counts what is not zero.
This is the error of an output, at one standard deviation or less; `SAFETY` times that is the most which is allowed. An
epilogue is followed by its values at both ends of the interval that this makes, so that it widens and narrows as the
epilogue does; each step adds its own rounding.

What the rules of this module may not do is to let in a kernel that is wrong. In float32 the bound is 1e-6 to 5e-5 of an
output's usual size up to K = 10,000: a lost tap is 1 / sqrt(K / channels) of it, a lost bias or channel all of it, and
an error of 5e-4 in every element is ten times the bound at the largest outputs. Half precision has 11 bits: there, a
factor of 1.0005 is rounding.
"""

from __future__ import annotations

from functools import reduce

import torch

from models.graph.layer import Layer, Step
from models.graph.steps import apply_step, combine

#: half the distance from 1 to the next number
UNITS = {"float32": 2.0**-24, "float16": 2.0**-11}
#: what statistics of reductions and what is inside fallbacks are computed with, whatever the network's type
EXACT_UNIT = UNITS["float32"]
#: errors are allowed to be so many times what is usual. Of 261 kernels in float32 on PoCL every one stayed within twice
#: that (docs/measuring.md has more); Winograd's see `codegen.schedules.winograd`
SAFETY = 8.0
#: units of rounding that a step adds: arithmetic, and functions such as exp, by polynomials or OpenCL's own
ARITHMETIC, FUNCTION = 4.0, 8.0

#: steps that choose, cut or compare, and round nothing
EXACT_STEPS = frozenset(
    (
        *("relu", "relu6", "hardtanh", "threshold", "abs", "sign", "floor", "ceil", "round", "trunc"),
        *("max", "min", "gt", "ge", "lt", "le", "eq", "keep", "fill"),
    )
)
#: steps after which two values are no further from each other than before
KEEPING_STEPS = frozenset(("relu", "relu6", "hardtanh", "abs", "max", "min", "add", "sub", "rsub"))
#: steps of a few products and sums
ARITHMETIC_STEPS = frozenset(("add", "sub", "rsub", "mul", "div", "rdiv", "prelu", "leaky_relu", "affine"))
#: functions whose relative error grows with their argument
EXPONENTIAL_STEPS = frozenset(("exp", "exp2", "expm1", "pow"))
#: steps at whose jumps rounding decides
JUMPS = frozenset(("threshold", "sign", "floor", "ceil", "round", "trunc", "gt", "ge", "lt", "le", "eq"))


def jumps(layer: Layer) -> bool:
    """Whether a result may lie on the other side of a jump for mere rounding: of values that are compared or cut off,
    and inside operators of others, which may choose by position."""
    return layer.op == "fallback" or any(step.kind in JUMPS for step in layer.epilogue)


def op_error(
    layer: Layer,
    result: torch.Tensor,
    operands: list[torch.Tensor],
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    unit: float,
) -> torch.Tensor:
    """The usual error of what a layer's op makes, before its epilogue; broadcasts to `result`.

    Args:
        result: what the op makes, (1, C, H, W).
        operands: the op's, likewise.
        weight, bias: the layer's, where it has them.
        unit: unit roundoff of the arithmetic.
    """
    if layer.op == "conv":
        assert weight is not None
        return unit * _sum_size(layer, operands[0], weight, bias)
    if layer.product is not None:
        left, right = operands
        return unit * layer.product.depth * abs(layer.product.scale) * _rms(left) * _rms(right)
    if layer.op == "avg_pool":
        window = layer.kernel[0] * layer.kernel[1]
        return unit * _rms(operands[0]) * (window / layer.divisor if layer.divisor else 1.0)
    if layer.op == "resize":
        return unit * operands[0].abs().max()
    if layer.reduction is not None:
        return _reduction_error(layer, result, operands[0], weight, bias, unit)
    if layer.foreign is not None:
        return _foreign_error(layer, result, operands, unit)
    return torch.zeros((), dtype=result.dtype)


def _rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean().sqrt()


def _sum_size(layer: Layer, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """sqrt(K) x (|w| x rms + |bias|) of every filter, (C, 1, 1); the bias is where sums begin."""
    groups = x.reshape(layer.groups, -1).square().mean(1).sqrt()
    inputs = groups.repeat_interleave(len(weight) // layer.groups)
    filters = weight.flatten(1)
    size = filters.square().sum(1).sqrt() * inputs + (0.0 if bias is None else bias.abs())
    return (filters.count_nonzero(1).clamp(min=1).sqrt() * size)[:, None, None]


def _reduction_error(
    layer: Layer,
    result: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    unit: float,
) -> torch.Tensor:
    """Sums of one sign err by sqrt(K) of what they are, those of both signs by sqrt(K) of their terms' size."""
    assert layer.reduction is not None
    count, kind = layer.reduction.count(layer.in_shapes[0]), layer.reduction.kind
    statistic = EXACT_UNIT * count**0.5
    if layer.op == "softmax":
        argument = 1 + x.abs().max()
        return unit * (result.abs() + 1) * argument if kind == "log_softmax" else (unit * argument + statistic) * result
    if layer.op == "normalise":
        size = (0.0 if weight is None else weight.abs()) + (0.0 if bias is None else bias.abs())
        return (unit + statistic) * (result.abs() + size + (1.0 if kind in ("variance", "rms") else 0.0))
    if kind in ("max", "min"):
        return torch.zeros((), dtype=result.dtype)
    if kind in ("sum", "mean"):
        return EXACT_UNIT * _rms(x) * (count if kind == "sum" else 1.0) + unit * result.abs()
    return (statistic + unit) * result.abs()


def _foreign_error(layer: Layer, result: torch.Tensor, operands: list[torch.Tensor], unit: float) -> torch.Tensor:
    """Operators of others compute in float32 between conversions; positions that they sample at err by their extent."""
    assert layer.foreign is not None
    sums = max(layer.foreign.macs, *map(torch.numel, operands)) / result.numel()
    depth = max(sums**0.5, *(max(operand.shape[2:]) for operand in operands))
    size = 1 + result.abs().max() + max(operand.abs().max() for operand in operands)
    return (unit + EXACT_UNIT * depth) * size


def follow_epilogue(
    layer: Layer, result: torch.Tensor, error: torch.Tensor, addends: list[torch.Tensor], unit: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's result, its epilogue done, and how far from it a device may be, which broadcasts to it.

    Args:
        result: what the op makes; error: how far from it the device may be, which broadcasts to it.
        addends: what the epilogue's steps read, in order.

    Where an element may be anything, as the logarithm of what may be negative, the second is infinite.
    """
    others = iter(addends)
    if all(step.kind in KEEPING_STEPS for step in layer.epilogue):
        for step in layer.epilogue:
            result = _apply(step, result, next(others) if step.reads else None)
            if step.kind in ARITHMETIC_STEPS:
                error = error + ARITHMETIC * unit * result.abs().amax()
        return result, error
    low, middle, high = result - error, result, result + error
    for step in layer.epilogue:
        other = next(others) if step.reads else None
        points = [low, middle, high]
        if other is not None:  # where what is compared may be equal, it may be taken for that
            points.append(torch.minimum(torch.maximum(other.expand_as(low), low), high))
        values = [_apply(step, point, other) for point in points]
        added = _step_error(step, middle, values[1], unit)
        low, high = reduce(torch.minimum, values) - added, reduce(torch.maximum, values) + added
        middle = values[1]
    return middle, torch.maximum(high - middle, middle - low).nan_to_num_(torch.inf, torch.inf, torch.inf)


def _apply(step: Step, x: torch.Tensor, other: torch.Tensor | None) -> torch.Tensor:
    return apply_step(step, x) if other is None else combine(step, x, other)


def _step_error(step: Step, x: torch.Tensor, value: torch.Tensor, unit: float) -> torch.Tensor | float:
    if step.kind in EXACT_STEPS:
        return 0.0
    if step.kind in ARITHMETIC_STEPS:
        constant = max(map(abs, step.params), default=0.0) if step.kind == "affine" else 0.0
        return ARITHMETIC * unit * (value.abs() + constant)
    if step.kind in EXPONENTIAL_STEPS:
        return FUNCTION * unit * (1 + value.abs()) * (1 + x.abs())
    return FUNCTION * unit * (1 + value.abs() + x.abs())
