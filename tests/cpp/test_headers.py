"""runtime/src/opencl/cl.h against Khronos' CL/cl.h: the same names, values and types."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

OURS = Path(__file__).resolve().parents[2] / "runtime" / "src" / "opencl" / "cl.h"
KHRONOS = "#define CL_TARGET_OPENCL_VERSION 120\n#include <CL/cl.h>\n"
STRUCT = re.compile(r"typedef struct _(cl_\w+) \{(.*?)\} \1;", re.DOTALL)


@pytest.fixture(scope="module")
def compiles():
    """Whether a C++ text is accepted without a warning, as (yes, what the compiler said)."""
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if compiler is None:
        pytest.skip("needs a C++ compiler")

    def check(text: str) -> tuple[bool, str]:
        command = [compiler, "-x", "c++", "-std=c++17", "-Werror", "-fsyntax-only", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=900)
        return done.returncode == 0, done.stderr

    if not check(KHRONOS)[0]:
        pytest.skip("OpenCL's own headers are not installed (apt-get install opencl-c-headers)")
    return check


def test_same_as_khronos(compiles):
    """A macro of another value, and a function of another type, are errors when both headers are read."""
    text = OURS.read_text().replace("#pragma once", "")
    assert compiles(KHRONOS + STRUCT.sub("", text)) == (True, "")
    other_value = text.replace("CL_DEVICE_NAME 0x102B", "CL_DEVICE_NAME 0x102C")
    other_type = text.replace("clFinish(cl_command_queue", "clFinish(cl_context")
    for wrong in (other_value, other_type):
        assert wrong != text
        assert not compiles(KHRONOS + STRUCT.sub("", wrong))[0]


def test_structures_are_laid_out_alike(compiles):
    text = KHRONOS
    for name, body in STRUCT.findall(OURS.read_text()):
        text += f"struct our_{name} {{{body}}};\nstatic_assert(sizeof(our_{name}) == sizeof({name}));\n"
        for field in re.findall(r"(\w+);", body):
            text += f"static_assert(__builtin_offsetof(our_{name}, {field}) == __builtin_offsetof({name}, {field}));\n"
            text += f"static_assert(__is_same(decltype(our_{name}::{field}), decltype({name}::{field})));\n"
    assert "image_slice_pitch" in text
    ok, said = compiles(text)
    assert ok, said
