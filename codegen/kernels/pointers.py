"""Pointer: where a kernel reads of a buffer, as a pointer of OpenCL C that is set once and then moved along.

An access `buffer[whole number expression]` costs a GPU's compiler five to ten instructions of 64-bit arithmetic each
time; one at a constant distance from a pointer two or three. TIR has no pointers that change, so that they are spelt as
calls whose names are OpenCL C, like the vectors of `codegen.kernels.vectors`. To TVM these calls may do anything: it
leaves their order as it is.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit

#: the type of a pointer whose distances count bytes
BYTES = "int8"
#: what OpenCL C calls the types of elements
OPENCL_TYPES = {"float32": "float", "float16": "half", "int32": "int", BYTES: "char"}


class Pointer:
    """A pointer to elements of a type, in scope to the end of the block of statements in which it is made.

    Args:
        frame: the function; it numbers its pointers.
        stem: of its name.
        dtype: of the elements, or `BYTES`.
        address: an expression of the place that it points to at first.
    """

    def __init__(self, frame, stem: str, dtype: str, address) -> None:
        self.frame, self.stem, self.dtype = frame, stem, dtype
        self.name = frame.new_name(f"{stem}_at")
        kind = f"const __global {OPENCL_TYPES[dtype]}*"
        emit(T.call_extern("int32", f"{kind} {self.name} = ({kind})", address))

    @classmethod
    def to(cls, frame, name: str, index, dtype: str | None = None) -> Pointer:
        """A pointer to element `index` of an argument or scratch of the function; to `dtype` where that is given."""
        buffer = frame[name]
        return cls(frame, name, dtype or str(buffer.dtype), T.address_of(buffer[index]))

    def behind(self, distance, dtype: str) -> Pointer:
        """A pointer to `dtype`, `distance` elements of this one's type behind what this one points to now."""
        return Pointer(self.frame, self.stem, dtype, self.address(distance))

    def __getitem__(self, distance):
        """The element `distance` behind the one pointed to."""
        return T.call_extern(self.dtype, "*", self.address(distance))

    def address(self, distance):
        """Where that element lies."""
        return T.call_extern("int64", f"{self.name} + ", distance)

    def advance(self, elements) -> None:
        """Statement: point so many elements further on."""
        emit(T.call_extern("int32", f"{self.name} += ", elements))


def address(buffer, index):
    """Where element `index` of a buffer, or of what a pointer points to, lies."""
    return buffer.address(index) if isinstance(buffer, Pointer) else T.address_of(buffer[index])
