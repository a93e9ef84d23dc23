"""The interface of runtime/include/fleetpose.h as ctypes has it: its records, and its functions with their types."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char, c_char_p, c_double, c_float, c_int, c_int32, c_uint32, c_void_p
from pathlib import Path

KEYPOINTS = 18
#: fp_format by the channels of an array as OpenCV has it: grey, BGR, BGRA
FORMATS = {1: 4, 3: 1, 4: 3}


class CError(Structure):
    """fp_error."""

    _fields_ = [("status", c_int), ("text", c_char * 508)]


class COptions(Structure):
    """fp_options."""

    _fields_ = [("size", c_uint32), ("flags", c_uint32), ("library", c_char_p), ("device", c_char_p),
                ("cache_folder", c_char_p)]  # fmt: skip


class CSize(Structure):
    """fp_size."""

    _fields_ = [("height", c_uint32), ("width", c_uint32)]


class COutput(Structure):
    """fp_output."""

    _fields_ = [("name", c_char_p), ("channels", c_uint32), ("height", c_uint32), ("width", c_uint32)]


class CImage(Structure):
    """fp_image."""

    _fields_ = [("planes", c_void_p * 3), ("row_bytes", c_uint32 * 3), ("uv_step", c_uint32), ("width", c_uint32),
                ("height", c_uint32), ("format", c_int), ("turns", c_uint32)]  # fmt: skip


class CPerson(Structure):
    """fp_person."""

    _fields_ = [("keypoints", c_float * (3 * KEYPOINTS)), ("score", c_float), ("identity", c_int32)]


class CTime(Structure):
    """fp_time."""

    _fields_ = [("name", c_char_p), ("secs", c_double)]


_PEOPLE = [POINTER(CPerson), c_uint32, POINTER(c_uint32), POINTER(CError)]
_IMAGE = POINTER(CImage)
#: of each function what it answers and what it takes
_FUNCTIONS: dict[str, tuple[object, list[object]]] = {
    "fp_open": (c_int, [c_char_p, POINTER(COptions), POINTER(c_void_p), POINTER(CError)]),
    "fp_close": (None, [c_void_p]),
    "fp_size_count": (c_uint32, [c_void_p]),
    "fp_size_at": (CSize, [c_void_p, c_uint32]),
    "fp_input_channels": (c_uint32, [c_void_p]),
    "fp_output_count": (c_uint32, [c_void_p]),
    "fp_output_at": (COutput, [c_void_p, c_uint32, c_uint32]),
    "fp_manifest": (c_char_p, [c_void_p]),
    "fp_device": (c_char_p, [c_void_p]),
    "fp_run": (c_int, [c_void_p, c_uint32, c_void_p, POINTER(c_void_p), POINTER(CError)]),
    "fp_people": (c_int, [c_void_p, _IMAGE, *_PEOPLE]),
    "fp_follow": (c_int, [c_void_p, _IMAGE, c_double, *_PEOPLE]),
    "fp_restart": (None, [c_void_p]),
    "fp_times": (c_uint32, [c_void_p, POINTER(CTime), c_uint32]),
    "fp_replaced": (c_uint32, [c_void_p, POINTER(c_char_p), c_uint32]),
}


def load_library(path: Path) -> ctypes.CDLL:
    """The C runtime with its functions' types. Raises OSError where it cannot be loaded."""
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_LOCAL)
    for name, (answer, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = answer, arguments
    return library
