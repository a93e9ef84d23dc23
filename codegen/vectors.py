"""The few vector operations kernels are written with, as TIR expressions.

TVM 0.27 emits vector loads for OpenCL only where it can prove alignment, and gathers lane by lane otherwise. So loads
and stores are spelt as calls of OpenCL's own `vloadN` / `vstoreN`, which need no alignment, and a splat as the cast
`(floatN)(x)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

OPENCL_TYPES = {"float32": "float", "float16": "half"}
WIDTHS = (2, 4, 8, 16)


@dataclass(frozen=True)
class Vector:
    """A vector type: `lanes` elements of `dtype`; lanes must be a width OpenCL has (2, 4, 8, 16)."""

    lanes: int
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.lanes not in WIDTHS or self.dtype not in OPENCL_TYPES:
            raise ValueError(f"no OpenCL vector of {self.lanes} x {self.dtype}")

    @property
    def type(self) -> str:
        """TVM's name of the type."""
        return f"{self.dtype}x{self.lanes}"

    @property
    def opencl(self) -> str:
        return f"{OPENCL_TYPES[self.dtype]}{self.lanes}"

    def load(self, buffer, index):
        """The vector at buffer[index : index + lanes]; any alignment."""
        return T.call_pure_extern(self.type, f"vload{self.lanes}", 0, T.address_of(buffer[index]))

    def load_strided(self, buffer, index, step: int, size: int | None = None):
        """The vector of buffer[index], buffer[index + step], ...; a plain load where step is 1.

        With `size`, lanes that would read beyond the buffer's `size` elements read its last one.
        """
        if step == 1 and size is None:
            return self.load(buffer, index)
        places = [index + lane * step for lane in range(self.lanes)]
        return self.gather([buffer[place if size is None else T.min(place, size - 1)] for place in places])

    def gather(self, scalars):
        """The vector made of `lanes` scalar expressions."""
        return T.call_pure_extern(self.type, f"({self.opencl})", *scalars)

    def store(self, value, buffer, index):
        """Statement: buffer[index : index + lanes] = value; any alignment."""
        return T.call_extern("int32", f"vstore{self.lanes}", value, 0, T.address_of(buffer[index]))

    def splat(self, scalar):
        """All lanes equal to a scalar of `dtype` (a Python number or a TIR expression)."""
        if isinstance(scalar, int | float):
            scalar = self.scalar(scalar)
        return T.call_pure_extern(self.type, f"({self.opencl})", scalar)

    def lowest(self):
        """All lanes the lowest finite value: the neutral element of a maximum."""
        return self.splat(float(np.finfo(self.dtype).min))

    def scalar(self, value: float):
        """A constant of `dtype`."""
        return T.FloatImm(self.dtype, float(value))

    def keep_below(self, value, first, limit):
        """`value` in the lanes whose number first + lane is below `limit`, zero in the others (NaNs included)."""
        bits = "int32" if self.dtype == "float32" else "int16"
        name = f"{'int' if bits == 'int32' else 'short'}{self.lanes}"
        number = [T.Cast(bits, limit - first - lane - 1) for lane in range(self.lanes)]
        signs = T.call_pure_extern(f"{bits}x{self.lanes}", f"({name})", *number)
        # select() takes its second operand where the sign bit of the third is set
        return T.call_pure_extern(self.type, "select", value, self.splat(0), signs)
