"""The steps of fused epilogues as TIR expressions on vectors (or scalars).

Formulas are those of torch.nn.functional, free of branches. Each takes the value so far, cheap to repeat (an element of
a local buffer), and the vector type, which makes constants and choices.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tvm.tirx.script import builder as T

from codegen.kernels import smooth
from codegen.kernels.exponential import exponential, in_float32
from codegen.kernels.vectors import Vector
from models.graph.layer import Step

#: whole exponents up to this are written as products
MOST_PRODUCTS = 8


def _clamp(value, low, high):
    return T.min(T.max(value, low), high)


def _sigmoid(value, vector: Vector):
    return vector.splat(1) / (vector.splat(1) + exponential(vector.splat(0) - value, vector))


def _abs(value, vector: Vector):
    return T.max(value, vector.splat(0) - value)


def _affine(value, vector: Vector, scale: float, shift: float):
    """scale x value + shift; the usual factors 1 and -1 cost no product."""
    if scale == -1:
        return vector.splat(shift) - value
    product = value if scale == 1 else value * vector.splat(scale)
    return product if shift == 0 else product + vector.splat(shift)


def _softplus(value, vector: Vector):
    if vector.has_exponential:
        return in_float32(smooth.softplus, value, vector)
    zero, unit = vector.splat(0), vector.splat(1)
    return T.max(value, zero) + T.log(unit + exponential(zero - _abs(value, vector), vector))


def _mish(value, vector: Vector):
    """x tanh(log(1 + e^x)) = x (e^2x + 2 e^x) / (e^2x + 2 e^x + 2); beyond 15 the quotient is 1 in float32 too.

    Half precision ends at 65504, so there e^x has to stay below 250; beyond 5.5 the quotient is 1 as well.
    """
    power = exponential(T.min(value, vector.splat(15.0 if vector.dtype == "float32" else 5.5)), vector)
    product = power * (power + vector.splat(2))
    return value * (product / (product + vector.splat(2)))


def _gelu(value, vector: Vector):
    """x (1 + erf(x / sqrt(2))) / 2."""
    if vector.has_exponential:
        return in_float32(smooth.gelu, value, vector)
    return value * vector.splat(0.5) * (vector.splat(1) + T.erf(value * vector.splat(math.sqrt(0.5))))


def _tanh(value, vector: Vector):
    return in_float32(smooth.tanh, value, vector) if vector.has_exponential else vector.call("tanh", value)


def _gelu_tanh(value, vector: Vector):
    """0.5 x (1 + tanh(u)) = x sigmoid(2 u)."""
    cube = value * (vector.splat(1) + vector.splat(0.044715) * (value * value))
    return value * _sigmoid(cube * vector.splat(2 * math.sqrt(2 / math.pi)), vector)


def _power(value, vector: Vector, exponent: float):
    if exponent == 0.5:
        return T.sqrt(value)
    if exponent == -0.5:
        return vector.splat(1) / T.sqrt(value)
    if exponent == int(exponent) and 0 < abs(exponent) <= MOST_PRODUCTS:
        product = value
        for _ in range(int(abs(exponent)) - 1):
            product = product * value
        return product if exponent > 0 else vector.splat(1) / product
    return vector.call("pow", value, vector.splat(exponent))


_UNARY: dict[str, Callable] = {
    "affine": _affine,
    "relu": lambda x, v: T.max(x, v.splat(0)),
    "relu6": lambda x, v: _clamp(x, v.splat(0), v.splat(6)),
    "hardtanh": lambda x, v, low, high: _clamp(x, v.splat(low), v.splat(high)),
    "leaky_relu": lambda x, v, slope: T.max(x, v.splat(0)) + v.splat(slope) * T.min(x, v.splat(0)),
    "elu": lambda x, v, alpha: (
        T.max(x, v.splat(0)) + v.splat(alpha) * (exponential(T.min(x, v.splat(0)), v) - v.splat(1))
    ),
    "sigmoid": _sigmoid,
    "silu": lambda x, v: x * _sigmoid(x, v),
    "hardsigmoid": lambda x, v: _clamp(x + v.splat(3), v.splat(0), v.splat(6)) * v.splat(1 / 6),
    "hardswish": lambda x, v: x * _clamp(x + v.splat(3), v.splat(0), v.splat(6)) * v.splat(1 / 6),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "mish": _mish,
    "tanh": _tanh,
    "softplus": _softplus,
    "softsign": lambda x, v: x / (v.splat(1) + _abs(x, v)),
    "threshold": lambda x, v, threshold, value: v.where("isgreater", x, v.splat(threshold), x, v.splat(value)),
    "pow": _power,
    "abs": _abs,
}

#: steps that OpenCL has a function for, by the step's name
_FUNCTIONS = {
    **{name: name for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "atan")},
    **{name: name for name in ("erf", "floor", "ceil", "trunc", "sign")},
    "round": "rint",
}

#: steps that call a function such as exp, for which a GPU may need dozens of instructions and registers a vector
FUNCTION_STEPS = frozenset(
    (
        *("elu", "sigmoid", "silu", "gelu", "gelu_tanh", "mish", "tanh", "softplus", "pow", "exp", "exp2", "expm1"),
        *("log", "log2", "log10", "log1p", "sin", "cos", "atan", "erf"),
    )
)

#: of these, what is an exponential and a few instructions more
LIGHT_FUNCTION_STEPS = frozenset(("elu", "sigmoid", "silu", "gelu_tanh", "mish"))

_BINARY: dict[str, Callable] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "rsub": lambda x, y: y - x,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "rdiv": lambda x, y: y / x,
    "max": T.max,
    "min": T.min,
}

#: OpenCL's functions for the steps that compare, by the step's name
_COMPARISONS = {
    "gt": "isgreater",
    "ge": "isgreaterequal",
    "lt": "isless",
    "le": "islessequal",
    "eq": "isequal",
}


def apply_step(step: Step, value, vector: Vector):
    """`value`, of `vector`'s type, after a step of one operand."""
    if step.kind in _FUNCTIONS:
        return vector.call(_FUNCTIONS[step.kind], value)
    return _UNARY[step.kind](value, vector, *step.params)


def combine(step: Step, value, other, vector: Vector):
    """`value` after a step that reads `other`, both of `vector`'s type."""
    if step.kind in _COMPARISONS:
        return vector.where(_COMPARISONS[step.kind], value, other, vector.splat(1), vector.splat(0))
    if step.kind in ("keep", "fill"):
        choices = (value, vector.splat(step.params[0]))
        return vector.where("isequal", other, vector.splat(0), *(choices if step.kind == "fill" else choices[::-1]))
    if step.kind == "prelu":
        return T.max(value, vector.splat(0)) + other * T.min(value, vector.splat(0))
    return _BINARY[step.kind](value, other)
