"""Kernels as the compilers get them: one a program, under one name, with whole vectors loaded and stored as such.

Mesa's OpenCL library takes `vloadN` and `vstoreN` apart into scalars, which phones' own compilers do not. So they are
replaced by accesses of the whole vector, which is what the text means.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from codegen.linking.programs import kernel_sections
from devices.profile import VECTOR_WIDTHS

#: what every kernel is called, so that equal ones are equal in text
KERNEL_NAME = "inspected"
_TYPES = ("float", "half", "int", "uint", "short", "ushort", "char", "uchar")
_SPACES = ("__global", "__local", "__private")


@dataclass(frozen=True)
class KernelSource:
    """The OpenCL C of one kernel, which is called KERNEL_NAME.

    Attributes:
        text: as TVM wrote it but for the name.
    """

    text: str

    @property
    def program(self) -> str:
        """What the compiler is given."""
        return _PRELUDE + self.text

    @property
    def digest(self) -> str:
        """Of the program, in hexadecimal digits."""
        return hashlib.sha256(self.program.encode()).hexdigest()


def split_kernels(source: str) -> dict[str, KernelSource]:
    """Each kernel of a program that TVM wrote, by its name in there."""
    return {
        name: KernelSource(re.sub(rf"\b{re.escape(name)}\b", KERNEL_NAME, text))
        for name, text in kernel_sections(source).items()
    }


def _whole_vectors() -> str:
    """Functions that load and store vectors as a whole, and macros that put them in the place of OpenCL's own."""
    lines = ["#ifdef cl_khr_fp16", "#pragma OPENCL EXTENSION cl_khr_fp16 : enable", "#endif"]
    attributes = "__attribute__((overloadable, always_inline))"
    for kind in _TYPES:
        for lanes in VECTOR_WIDTHS:
            vector = f"{kind}{lanes}"
            for space in (*_SPACES, "__constant"):
                place = f"(const {space} {vector} *)(start + {lanes} * index)"
                head = f"{attributes} {vector} whole_load{lanes}(size_t index, const {space} {kind} *start)"
                lines.append(f"{head} {{ return *{place}; }}")
            for space in _SPACES:
                place = f"({space} {vector} *)(start + {lanes} * index)"
                head = f"{attributes} void whole_store{lanes}({vector} value, size_t index, {space} {kind} *start)"
                lines.append(f"{head} {{ *{place} = value; }}")
    for lanes in VECTOR_WIDTHS:
        lines += [f"#define vload{lanes} whole_load{lanes}", f"#define vstore{lanes} whole_store{lanes}"]
    return "\n".join([*lines, ""])


_PRELUDE = _whole_vectors()
