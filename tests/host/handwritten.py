"""Modules of hand-written OpenCL C, in the bytes that TVM's compiler would write, and the backend's own globals."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Sequence
from typing import Any

import tvm
import tvm_ffi

HANDLE, INT32, INT64, UINT8, FLOAT32, FLOAT64 = (
    (3, 64, 1),
    (0, 32, 1),
    (0, 64, 1),
    (1, 8, 1),
    (2, 32, 1),
    (2, 64, 1),
)

Kernel = tuple[str, Sequence[tuple[int, int, int]], Sequence[str]]


def serialize(code: str, kernels: Sequence[Kernel], format: str = "cl") -> bytes:
    """The saved form of a module: each kernel is (name, argument types, launch tags)."""
    parts = [_string(format), struct.pack("<Q", len(kernels))]
    for name, types, tags in kernels:
        parts += [_string(name), _string(name), struct.pack("<Q", len(types))]
        parts += [struct.pack("<BBH", *one) for one in types]
        parts += [struct.pack("<Q", len(tags)), *map(_string, tags), struct.pack("<Q", 0)]
    return b"".join([*parts, _string(code)])


def load(code: str, *kernels: Kernel) -> Any:
    """A runtime module of kind "opencl"."""
    return load_bytes(serialize(code, kernels))


def load_bytes(data: bytes) -> Any:
    return tvm_ffi.get_global_func("ffi.Module.load_from_bytes.opencl")(data)


def backend(name: str, *arguments: Any) -> Any:
    """Call `fleetpose.opencl.NAME`; a string answer is JSON, but for `library`."""
    answer = tvm_ffi.get_global_func(f"fleetpose.opencl.{name}")(*arguments)
    return json.loads(answer) if isinstance(answer, str) and name != "library" else answer


@functools.cache
def missing() -> str | None:
    """Why there is nothing to test on, or None."""
    from devices import runtime

    if not runtime.status()["loaded"]:
        return f"the OpenCL backend is not loaded: {runtime.status()['error']}"
    return None if tvm.opencl(0).exist else "no OpenCL device on this machine"


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
