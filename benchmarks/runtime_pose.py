"""The C runtime's part from pictures to inputs and from maps to people, compiled on this machine and called by ctypes.

For tests and benchmarks, which compare it with `models.pose` and `models.preprocess`; apps call `fleetpose.h` instead.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codegen.packaging.settings import numbers_of
from fleetpose.errors import UsageError
from models.pose.person import Person
from models.pose.skeleton import PARTS
from models.preprocess import Placement, Preprocessing, Size

RUNTIME = Path(__file__).parents[1] / "runtime"
SOURCES = (
    *(RUNTIME / "src" / "core" / name for name in ("error.c", "settings.c")),
    *sorted((RUNTIME / "src" / "pose").rglob("*.c")),
)
#: Without it a compiler for arm64 may round a product and a sum once instead of twice, and answer other last digits.
FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
INCLUDES = (f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}")
FORMATS = {"RGB": 0, "BGR": 1, "RGBA": 2, "BGRA": 3, "GREY": 4, "YUV420": 5}
#: People that are asked for; more are counted but not read.
CAPACITY = 4096


def c_compiler() -> list[str]:
    """The command of a C compiler: the system's, or that of the Python package ziglang.

    Raises:
        UsageError: there is none.
    """
    system = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if system:
        return [system]
    ziglang = [sys.executable, "-m", "ziglang", "cc"]
    if subprocess.run([*ziglang, "--version"], capture_output=True, check=False).returncode == 0:
        return ziglang
    raise UsageError("no C compiler: install gcc or clang, or `pip install ziglang`")


def compile_pose_library(out: Path, compiler: Sequence[str] = (), flags: Sequence[str] = ()) -> Path:
    """The shared object `out` of the runtime's pose/ and what it needs of core/; `flags` come after the usual ones.

    Raises:
        UsageError: there is no compiler, or it refuses the sources.
    """
    command = [*(compiler or c_compiler()), *FLAGS, *INCLUDES, "-fPIC", "-shared", *flags]
    made = subprocess.run(
        [*command, *map(str, SOURCES), "-o", str(out), "-lm"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise UsageError(f"the runtime's pose/ cannot be compiled: {made.stderr[-2000:]}")
    return out


class _Setting(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_uint32),
        ("text", ctypes.c_uint32),
        ("is_text", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("number", ctypes.c_double),
    )


class _Settings(ctypes.Structure):
    _fields_ = (("items", ctypes.POINTER(_Setting)), ("count", ctypes.c_uint32), ("strings", ctypes.c_char_p))


class _Error(ctypes.Structure):
    _fields_ = (("status", ctypes.c_int), ("text", ctypes.c_char * 508))


class _Image(ctypes.Structure):
    _fields_ = (
        ("planes", ctypes.c_void_p * 3),
        ("row_bytes", ctypes.c_uint32 * 3),
        ("uv_step", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("format", ctypes.c_int),
        ("turns", ctypes.c_uint32),
    )


class _Map(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("channels", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
    )


class _HeightWidth(ctypes.Structure):
    _fields_ = (("height", ctypes.c_uint32), ("width", ctypes.c_uint32))


#: an fp_person
PERSON = np.dtype([("keypoints", np.float32, (len(PARTS), 3)), ("score", np.float32), ("identity", np.int32)])


class _Room(ctypes.Structure):
    _fields_ = (("people", ctypes.c_void_p), ("capacity", ctypes.c_uint32), ("count", ctypes.c_uint32))


class Picture:
    """An fp_image and the memory it points into.

    planes: uint8 arrays whose rows may have strides of their own: (H, W, channels), or (H, W) of "GREY" and of the
        planes of "YUV420", whose U and V may have a step of 2 from sample to sample.
    """

    def __init__(self, form: str, planes: Sequence[np.ndarray], turns: int = 0) -> None:
        height, width = planes[0].shape[:2]
        self.planes = list(planes)
        addresses = [plane.ctypes.data for plane in planes] + [None] * (3 - len(planes))
        rows = [plane.strides[0] for plane in planes] + [0] * (3 - len(planes))
        step = planes[1].strides[1] if form == "YUV420" else 0
        self.record = _Image(
            (ctypes.c_void_p * 3)(*addresses), (ctypes.c_uint32 * 3)(*rows), step, width, height, FORMATS[form], turns
        )


class PoseLibrary:
    """A shared object of `compile_pose_library`."""

    def __init__(self, path: Path) -> None:
        self.calls = ctypes.CDLL(str(path))
        self.calls.fp_pose_destroy.argtypes = [ctypes.c_void_p]

    def checked(self, status: int, error: _Error) -> None:
        """Raises UsageError, with the status before the text, unless the status is FP_OK."""
        if status:
            assert status == error.status
            raise UsageError(f"{status}: {error.text.decode()}")

    def choose_size(self, picture: Picture, sizes: Sequence[Size]) -> Size:
        chosen, error = ctypes.c_uint32(), _Error()
        array = (_HeightWidth * len(sizes))(*sizes)
        status = self.calls.fp_pose_choose_size(
            ctypes.byref(picture.record), array, len(sizes), ctypes.byref(chosen), ctypes.byref(error)
        )
        self.checked(status, error)
        return sizes[chosen.value]


class RuntimePose:
    """An fp_pose: preprocessing, decoding and following of one network.

    Args:
        settings: what differs from the defaults, by the names that a package has them by.
    """

    def __init__(
        self,
        library: PoseLibrary,
        decoder: str,
        preprocessing: Preprocessing | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.preprocessing = preprocessing or Preprocessing((0.0, 0.0, 0.0), 1.0)
        named = {"decoder": decoder, "preprocessing.channels": self.preprocessing.channels}
        named |= {**numbers_of("preprocessing", self.preprocessing), **(settings or {})}
        self.library, self.calls = library, library.calls
        self._handle = ctypes.c_void_p()
        error = _Error()
        record, self._kept = _settings_of(named)
        status = self.calls.fp_pose_create(ctypes.byref(record), ctypes.byref(self._handle), ctypes.byref(error))
        library.checked(status, error)
        self._people = np.zeros(CAPACITY, PERSON)
        self._room = _Room(self._people.ctypes.data, CAPACITY, 0)

    def __del__(self) -> None:
        self.calls.fp_pose_destroy(self._handle)

    def fill(self, picture: Picture, size: Size) -> np.ndarray:
        """(1, C, height, width) float32; what it was is not read."""
        tensor = np.full((1, self.preprocessing.count, *size), np.nan, np.float32)
        error = _Error()
        status = self.calls.fp_pose_fill(
            self._handle,
            ctypes.byref(picture.record),
            _HeightWidth(*size),
            ctypes.c_void_p(tensor.ctypes.data),
            ctypes.byref(error),
        )
        self.library.checked(status, error)
        return tensor

    def place(self, placement: Placement) -> None:
        error = _Error()
        status = self.calls.fp_pose_place(
            self._handle, _HeightWidth(*placement.image_size), _HeightWidth(*placement.input_size), ctypes.byref(error)
        )
        self.library.checked(status, error)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[Person]:
        """People in maps, (C, h, w) float32 by name."""
        return self.people(self.decoded(maps_of(outputs)))

    def decoded(self, maps: ctypes.Array[_Map]) -> int:
        """How many people there are in maps; what the runtime itself does, for whoever times it."""
        error = _Error()
        status = self.calls.fp_pose_decode(self._handle, maps, len(maps), ctypes.byref(self._room), ctypes.byref(error))
        self.library.checked(status, error)
        return self._room.count

    def follow(self, outputs: Mapping[str, np.ndarray], secs: float) -> list[Person]:
        maps, error = maps_of(outputs), _Error()
        status = self.calls.fp_pose_follow(
            self._handle, maps, len(maps), ctypes.c_double(secs), ctypes.byref(self._room), ctypes.byref(error)
        )
        self.library.checked(status, error)
        return self.people(self._room.count)

    def restart(self) -> None:
        self.calls.fp_pose_restart(self._handle)

    def people(self, count: int) -> list[Person]:
        return [
            Person(person["keypoints"].astype(float), float(person["score"]), int(person["identity"]) or None)
            for person in self._people[:count]
        ]


def maps_of(outputs: Mapping[str, np.ndarray]) -> ctypes.Array[_Map]:
    """Outputs as the runtime takes them: (C, h, w), or (n, m, h, w) as (n m, h, w); they have to be kept."""
    records = []
    for name, output in outputs.items():
        if output.dtype != np.float32 or not output.flags.c_contiguous:
            raise UsageError(f"the output {name} is not contiguous float32")
        height, width = output.shape[-2:]
        records.append(_Map(name.encode(), output.ctypes.data, output.size // max(1, height * width), height, width))
    return (_Map * len(records))(*records)


def _settings_of(named: Mapping[str, Any]) -> tuple[_Settings, list[Any]]:
    """An fp_settings, and what it points to."""
    strings = bytearray(b"\0")
    items = (_Setting * len(named))()

    def offset(text: str) -> int:
        at = len(strings)
        strings.extend(text.encode() + b"\0")
        return at

    for item, (name, value) in zip(items, named.items(), strict=True):
        item.name, item.is_text = offset(name), isinstance(value, str)
        if isinstance(value, str):
            item.text = offset(value)
        else:
            item.number = float(value)
    blob = ctypes.create_string_buffer(bytes(strings), len(strings))
    return _Settings(items, len(named), ctypes.cast(blob, ctypes.c_char_p)), [items, blob]
