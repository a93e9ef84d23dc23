"""Functions that OpenCL computes slowly, by `codegen.kernels.exponential` and polynomials.

On CPUs PoCL's erf, log and tanh take tens of instructions for each element, or a call. Each of these is right to fp32's
digits of its largest values, and where results are small to as many digits of their own, but for GELU's left tail,
which has four down to x = -5. All may write statements, as `exponential` does, and keep NaNs.
"""

from __future__ import annotations

import math

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.exponential import exponential, polynomial
from codegen.kernels.vectors import Vector

#: erfc(z) = t (c0 + c1 t + ...) e^(-z^2) with t = 1 / (1 + z ERFC_RATE), to 1.5e-7: Abramowitz and Stegun, 7.1.26
ERFC_RATE, ERFC = 0.3275911, (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
#: (atanh(s) / s - 1) / s^2 by powers of s^2, for s up to 1/3: a minimax fit, 5e-9 of atanh(s)
ATANH = (0.3333321, 0.2001085, 0.1399957, 0.1401223)
#: (tanh(x) / x - 1) / x^2 by powers of x^2, for x up to TANH_SMALL: a minimax fit, 5e-9 of tanh(x)
TANH, TANH_SMALL = (-0.3333328, 0.1333149, -0.0537435, 0.02065059, -0.005717045), 0.625


def softplus(value, vector: Vector):
    """log(1 + e^x) = max(x, 0) + log(1 + e) with e = e^-|x|, and log(1 + e) = 2 atanh(e / (2 + e))."""
    power = exponential(vector.splat(0) - _magnitude(value, vector), vector)
    ratio, square = (registers(1, vector.type, name) for name in ("ratio", "square"))
    put(ratio, 0, power / (power + vector.splat(2)))
    put(square, 0, ratio[0] * ratio[0])
    series = vector.splat(1) + square[0] * polynomial(ATANH, square[0], vector)
    return T.max(value, vector.splat(0)) + vector.splat(2) * ratio[0] * series


def gelu(value, vector: Vector):
    """x (1 - erfc(z) / 2) for x > 0 and x erfc(z) / 2 for the others, z = |x| / sqrt(2)."""
    ratio, half = (registers(1, vector.type, name) for name in ("ratio", "half"))
    magnitude = _magnitude(value, vector) * vector.splat(math.sqrt(0.5))
    put(ratio, 0, vector.splat(1) / (vector.splat(1) + vector.splat(ERFC_RATE) * magnitude))
    power = exponential(value * value * vector.splat(-0.5), vector)
    halves = [coefficient / 2 for coefficient in ERFC]
    put(half, 0, ratio[0] * polynomial(halves, ratio[0], vector) * power)
    zero, rest = vector.splat(0), vector.splat(1) - half[0]
    return value * vector.where("isgreater", value, zero, rest, half[0])


def tanh(value, vector: Vector):
    """x + x^3 p(x^2) where |x| is small, 1 - 2 / (e^2|x| + 1) with x's sign elsewhere."""
    large, square = (registers(1, vector.type, name) for name in ("large", "square"))
    magnitude = _magnitude(value, vector)
    power = exponential(magnitude * vector.splat(2), vector)
    put(large, 0, vector.splat(1) - vector.splat(2) / (power + vector.splat(1)))
    put(square, 0, value * value)
    small = value + value * square[0] * polynomial(TANH, square[0], vector)
    signed = vector.call("copysign", large[0], value)
    return vector.where("isgreater", magnitude, vector.splat(TANH_SMALL), signed, small)


def _magnitude(value, vector: Vector):
    return T.max(value, vector.splat(0) - value)
