"""e to the power of a vector: the device's own function, its instruction, or a polynomial, as the profile says.

OpenCL's function is right nearly to the last bit and for every exponent. In half it takes 65 instructions of an Adreno
730 for each element by Mesa's compiler: an ELU twice the cycles of the 1x1 products before it (128 channels). A GPU
has an instruction, OpenCL's `native_exp`, in float32, whose digits suffice for half. A CPU calls a
function, for which a polynomial's few multiply-adds stand in: a map of SiLU takes two thirds of the time by them (PoCL
3.1 on AVX2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.vectors import Vector

#: exponents beyond these are taken as these, so that neither the result nor one over it is a subnormal number, with
#: which CPUs compute many times as long
LOWEST, HIGHEST = -87.0, 87.0
#: log 2 as a part of few bits, whose products with whole exponents are exact, and the rest
LOG_2_HIGH, LOG_2_LOW = 0.693359375, -2.12194440e-4
#: (e^r - 1 - r) / r^2 for |r| <= log(2) / 2, a minimax fit of relative error 1.1e-7 in e^r; TVM writes 7 digits
COEFFICIENTS = (0.4999923, 0.1666711, 0.04189016, 0.00831252)
#: 1.5 x 2^23 as bits: added to a whole number, it puts that number's bits at the end of the sum's
SHIFT_BITS = 0x4B400000
#: bits of fp32's fraction, and those of 1
FRACTION_BITS, ONE_BITS = 23, 0x3F800000


def in_float32(function: Callable, value, vector: Vector):
    """function(value, type) of a vector of any type, computed in float32 for its digits; may write statements."""
    if vector.dtype == "float32":
        return function(value, vector)
    wide = vector.of("float32")
    held = registers(1, wide.type, "held")
    put(held, 0, wide.convert(value, vector.dtype))
    return vector.convert(function(held[0], wide), wide.dtype)


def exponential(value, vector: Vector):
    """e to the power of `value`; may write statements, which come before the one that uses the result.

    As a polynomial the result is within 3e-7 of itself, finite, and above zero; NaNs stay NaNs.
    """
    if vector.native:
        return in_float32(lambda held, wide: wide.call("native_exp", held), value, vector)
    if not vector.polynomials:
        return T.exp(value)
    rest, shifted, whole = (registers(1, vector.type, name) for name in ("rest", "shifted", "whole"))
    put(rest, 0, value)
    for comparison, limit in (("isless", LOWEST), ("isgreater", HIGHEST)):
        put(rest, 0, vector.where(comparison, rest[0], vector.splat(limit), vector.splat(limit), rest[0]))
    shift = _of_bits(SHIFT_BITS, vector)
    put(shifted, 0, rest[0] * vector.splat(1 / math.log(2)) + shift)
    put(whole, 0, shifted[0] - shift)
    put(rest, 0, rest[0] - whole[0] * vector.splat(LOG_2_HIGH) - whole[0] * vector.splat(LOG_2_LOW))
    power = polynomial((1.0, 1.0, *COEFFICIENTS), rest[0], vector)
    put(rest, 0, power * _two_to_the(shifted[0], vector))
    return rest[0]


def polynomial(coefficients: Sequence[float], value, vector: Vector):
    """c0 + c1 x + c2 x^2 + ...; `value`, whose text is repeated, should be an element of a buffer or as short."""
    total = vector.splat(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * value + vector.splat(coefficient)
    return total


def _of_bits(bits: int, vector: Vector):
    """The number whose bits are given, in all lanes; TVM writes numbers themselves with 7 digits only."""
    return T.call_pure_extern(vector.type, f"as_{vector.opencl}", _integers(bits, vector))


def _integers(value: int, vector: Vector):
    return T.call_pure_extern(f"int32x{vector.lanes}", f"(int{vector.lanes})", T.int32(value))


def _two_to_the(shifted, vector: Vector):
    """2 to the power of the whole numbers at the end of `shifted`'s bits, as the bits of a number's exponent."""
    bits = T.call_pure_extern(f"int32x{vector.lanes}", f"as_int{vector.lanes}", shifted)
    exponent = T.shift_left(bits, _integers(FRACTION_BITS, vector)) + _integers(ONE_BITS, vector)
    return T.call_pure_extern(vector.type, f"as_{vector.opencl}", exponent)
