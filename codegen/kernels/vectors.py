"""The few vector operations kernels are written with, as TIR expressions.

TVM 0.27 emits vector loads for OpenCL only where it can prove alignment, and gathers lane by lane otherwise. So loads
and stores are spelt as calls of OpenCL's own `vloadN` / `vstoreN`, which need no alignment, and a splat as the cast
`(floatN)(x)`. Every second element is taken from two plain loads (`deinterleave`), because compilers turn a gather
of them into one load per lane.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.pointers import OPENCL_TYPES, address
from devices.profile import Profile

#: per dtype: integers as wide as an element, and unsigned ones as wide as two, as TVM and as OpenCL call them
INTEGERS = {"float32": ("int32", "int"), "float16": ("int16", "short")}
NARROW = {"float32": ("uint32", "uint"), "float16": ("uint16", "ushort")}
WIDE = {"float32": ("uint64", "ulong"), "float16": ("uint32", "uint")}
WIDTHS = (2, 4, 8, 16)
#: vectors up to this many bytes are taken apart by Clang's shuffles: up to 30 % faster strided kernels with AVX2; those
#: of AVX-512 want a register for their mask, and were not timed
SHUFFLED_BYTES = 32


@dataclass(frozen=True)
class Vector:
    """A vector type: `lanes` elements of `dtype`; lanes must be a width OpenCL has (2, 4, 8, 16).

    Attributes:
        clang: the device's compiler is Clang and takes its builtins, as PoCL's for CPUs does.
        polynomials: exponentials are faster as polynomials than as the device's own function.
        native: exponentials are the device's instruction, OpenCL's `native_exp`, whose digits are enough for half.
    """

    lanes: int
    dtype: str = "float32"
    clang: bool = False
    polynomials: bool = False
    native: bool = False

    @classmethod
    def on(cls, profile: Profile, lanes: int, dtype: str = "float32") -> Vector:
        """The type as kernels for the device of `profile` may use it."""
        polynomials = profile.exponential == "polynomial" and dtype == "float32"
        native = profile.exponential == "native" and dtype == "float16"
        return cls(lanes, dtype, clang=profile.gpu == "cpu", polynomials=polynomials, native=native)

    @property
    def has_exponential(self) -> bool:
        """Whether an exponential takes a few instructions, so that other functions are made of it."""
        return self.polynomials or self.native

    def __post_init__(self) -> None:
        if self.lanes not in WIDTHS or self.dtype not in INTEGERS:
            raise ValueError(f"no OpenCL vector of {self.lanes} x {self.dtype}")

    @property
    def type(self) -> str:
        """TVM's name of the type."""
        return f"{self.dtype}x{self.lanes}"

    @property
    def opencl(self) -> str:
        return f"{OPENCL_TYPES[self.dtype]}{self.lanes}"

    def load(self, buffer, index):
        """The vector at buffer[index : index + lanes], of a buffer or from a pointer; any alignment."""
        return T.call_pure_extern(self.type, f"vload{self.lanes}", 0, address(buffer, index))

    def load_strided(self, buffer, index, step: int, size: int | None = None):
        """The vector of buffer[index], buffer[index + step], ...; a plain load where step is 1.

        Step 2 reads 2 x lanes elements. With `size`, lanes that would read beyond the buffer's `size` elements read
        its last one.
        """
        if size is None and step == 1:
            return self.load(buffer, index)
        if size is None and step == 2:
            return self.deinterleave(self.load(buffer, index), self.load(buffer, index + self.lanes), 0)
        places = [index + lane * step for lane in range(self.lanes)]
        return self.gather([buffer[place if size is None else T.min(place, size - 1)] for place in places])

    def deinterleave(self, low, high, odd: int):
        """Elements odd, odd + 2, ... (odd is 0 or 1) of the 2 x lanes elements in two vectors.

        Without Clang's shuffles, pairs of elements are taken as integers of twice the width and narrowed, which needs
        no shuffle mask; devices are little-endian.
        """
        if self.clang and self.lanes * np.dtype(self.dtype).itemsize <= SHUFFLED_BYTES:
            return self.shuffle(low, high, range(odd, 2 * self.lanes, 2))
        (wide, wide_name), (narrow, narrow_name) = WIDE[self.dtype], NARROW[self.dtype]
        half = self.lanes // 2
        count, shape = (str(half), f"x{half}") if half > 1 else ("", "")
        bits = T.call_pure_extern(
            f"{wide}{shape}", f"({wide_name}{count})", T.IntImm(wide, np.dtype(narrow).itemsize * 8)
        )

        def every_second(value):
            pairs = T.call_pure_extern(f"{wide}{shape}", f"as_{wide_name}{count}", value)
            return T.call_pure_extern(
                f"{narrow}{shape}", f"convert_{narrow_name}{count}", T.shift_right(pairs, bits) if odd else pairs
            )

        both = T.call_pure_extern(
            f"{narrow}x{self.lanes}", f"({narrow_name}{self.lanes})", every_second(low), every_second(high)
        )
        return T.call_pure_extern(self.type, f"as_{self.opencl}", both)

    def interleave(self, even, odd) -> tuple:
        """The two vectors even[0], odd[0], even[1], odd[1], ..."""
        orders = [
            [first + lane // 2 + lane % 2 * self.lanes for lane in range(self.lanes)] for first in (0, self.lanes // 2)
        ]
        return tuple(self.shuffle(even, odd, order) for order in orders)

    def shuffle(self, a, b, order: Sequence[int]):
        """Elements of a (0 ... lanes - 1) and b (lanes ...) in a constant order.

        OpenCL's shuffle2 takes its mask at run time, and PoCL's does not see through a constant one (a dozen
        instructions for one); its compiler is Clang, whose own spelling becomes one instruction.
        """
        if self.clang:
            return T.call_pure_extern(self.type, "__builtin_shufflevector", a, b, *map(T.int32, order))
        kind, name = NARROW[self.dtype]
        places = [T.IntImm(kind, element) for element in order]
        mask = T.call_pure_extern(f"{kind}x{self.lanes}", f"({name}{self.lanes})", *places)
        return T.call_pure_extern(self.type, "shuffle2", a, b, mask)

    def gather(self, scalars):
        """The vector made of `lanes` scalar expressions."""
        return T.call_pure_extern(self.type, f"({self.opencl})", *scalars)

    def store(self, value, buffer, index):
        """Statement: buffer[index : index + lanes] = value; any alignment."""
        return T.call_extern("int32", f"vstore{self.lanes}", value, 0, T.address_of(buffer[index]))

    def of(self, dtype: str) -> Vector:
        """The type of as many elements of `dtype`."""
        return self if dtype == self.dtype else Vector(self.lanes, dtype, self.clang, native=self.native)

    def convert(self, value, dtype: str):
        """A vector of `dtype` with as many lanes, in this vector's type."""
        return value if dtype == self.dtype else T.call_pure_extern(self.type, f"convert_{self.opencl}", value)

    def splat(self, scalar):
        """All lanes equal to a scalar of `dtype` (a Python number or a TIR expression)."""
        if isinstance(scalar, int | float):
            scalar = self.scalar(scalar)
        return T.call_pure_extern(self.type, f"({self.opencl})", scalar)

    def lowest(self):
        """All lanes the lowest finite value: the neutral element of a maximum."""
        return self.splat(float(np.finfo(self.dtype).min))

    def scalar(self, value: float):
        """A constant of `dtype`; one beyond its range is its largest or lowest."""
        limits = np.finfo(self.dtype)
        return T.FloatImm(self.dtype, float(np.clip(value, float(limits.min), float(limits.max))))

    def integers(self, first, step: int = 1):
        """first, first + step, ... as integers as wide as an element."""
        kind, name = INTEGERS[self.dtype]
        steps = [T.IntImm(kind, lane * step) for lane in range(self.lanes)]
        start = T.call_pure_extern(f"{kind}x{self.lanes}", f"({name}{self.lanes})", T.Cast(kind, first))
        return start + T.call_pure_extern(f"{kind}x{self.lanes}", f"({name}{self.lanes})", *steps)

    def choose(self, signs, negative, other):
        """`negative` in the lanes where the integer in `signs` is below zero, `other` elsewhere; no arithmetic, so
        that NaNs in lanes not chosen do no harm."""
        return T.call_pure_extern(self.type, "select", other, negative, signs)

    def call(self, function: str, *values):
        """An OpenCL function of one or more vectors of this type, such as "pow"."""
        return T.call_pure_extern(self.type, function, *values)

    def where(self, comparison: str, left, right, chosen, other):
        """`chosen` in the lanes where OpenCL's `comparison` ("isgreater", ...) of `left` and `right` holds, `other`
        elsewhere; all four of this vector's type."""
        kind, _ = INTEGERS[self.dtype]
        return self.choose(T.call_pure_extern(f"{kind}x{self.lanes}", comparison, left, right), chosen, other)

    def keep_below(self, value, first, limit):
        """`value` in the lanes whose number first + lane is below `limit`, zero in the others (NaNs included)."""
        return self.choose(self.integers(first - limit), value, self.splat(0))


def pieces(count: int, widest: int) -> Iterator[tuple[int, int]]:
    """(start, lanes) of the vectors up to `widest` lanes, and of single elements at last, that make up `count`."""
    start = 0
    for lanes in (*sorted((width for width in WIDTHS if width <= widest), reverse=True), 1):
        while count - start >= lanes:
            yield start, lanes
            start += lanes
