"""A package from Python: NumPy arrays in, maps or people out. Needs neither TVM nor torch, and starts at once.

network = Package("pose.fpk")
people = network.people(image)          # (H, W, 3) uint8, BGR as OpenCV reads it
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose.errors import FleetposeError, UsageError
from runtime import library_path
from runtime.interface import FORMATS, KEYPOINTS, CError, CImage, CPerson, CTime, load_library
from runtime.options import PackageOptions, encoded
from runtime.pip_opencl import pip_libraries


class PackageError(FleetposeError):
    """The device or its driver failed, or computes what it should not."""

    exit_status = 1


class NoOpenCL(PackageError):
    """There is no libOpenCL here, or none with a device."""


#: there is room for so many people; of a photograph more are noise
MOST_PEOPLE = 1024
#: errors by fp_status, where it is not the device's: the caller, or the file, is wrong
_ERRORS = {**dict.fromkeys((1, 2, 4, 7, 8), UsageError), 3: NoOpenCL}


@dataclass(frozen=True, eq=False)
class PackagePerson:
    """A person in a picture.

    keypoints: (18, 3) float32 x, y, score, in pixels of the upright picture, in the order of
        `models.pose.skeleton.PARTS`; (NaN, NaN, 0) where not found.
    score: larger for a surer person. identity: from 1, in a video; 0: none yet.
    """

    keypoints: np.ndarray
    score: float
    identity: int


class Package:
    """A network that is open on a device. May be used by several threads, one after the other.

    Args:
        path: of the .fpk.
        options: see `PackageOptions`.

    Raises:
        UsageError: a damaged or missing file, or a device that the network does not run on.
        PackageError: the driver failed, or the library is not built.
    """

    def __init__(self, path: Path | str, options: PackageOptions = PackageOptions()) -> None:
        if (library := library_path()) is None:
            raise PackageError("the C runtime is not built; in the source tree: make setup")
        try:
            self._c = load_library(library)
        except OSError as error:
            raise PackageError(f"the C runtime cannot be loaded: {error}") from error
        self._handle = ctypes.c_void_p()
        self._open(path, options)

    def _open(self, path: Path | str, options: PackageOptions) -> None:
        """Open the package by the first libOpenCL that is one; where none is, the first one's reason is raised."""
        reasons = []
        for library in opencl_libraries(options.library):
            packed = replace(options, library=library).pack()
            try:
                return self._call(self._c.fp_open, encoded(path), ctypes.byref(packed), ctypes.byref(self._handle))
            except NoOpenCL as error:
                reasons.append(error)
        raise reasons[0]

    def _call(self, function: Any, *arguments: Any) -> None:
        error = CError()
        if function(*arguments, ctypes.byref(error)):
            kind = _ERRORS.get(error.status, PackageError)
            raise kind(error.text.decode(errors="replace"))

    @property
    def _network(self) -> ctypes.c_void_p:
        """The handle. Raises UsageError after `close`."""
        if not self._handle:
            raise UsageError("the package is closed; open it anew")
        return self._handle

    def close(self) -> None:
        """Give the device's memory back; the network cannot be used any more."""
        self._c.fp_close(self._handle)
        self._handle = ctypes.c_void_p()

    def __enter__(self) -> Package:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the package says of itself, as beside an artifact."""
        return json.loads(self._c.fp_manifest(self._network))

    @property
    def device(self) -> str:
        """The device and its driver."""
        return self._c.fp_device(self._network).decode(errors="replace")

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of the inputs it takes."""
        sizes = [self._c.fp_size_at(self._network, at) for at in range(self._c.fp_size_count(self._network))]
        return tuple((size.height, size.width) for size in sizes)

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One inference: (1, C, H, W) float32 to the outputs by name, (1, C, h, w) float32 each.

        Raises:
            UsageError: another shape. PackageError: the driver failed.
        """
        shapes = {(1, self._c.fp_input_channels(self._network), *size): at for at, size in enumerate(self.sizes)}
        if tensor.shape not in shapes:
            raise UsageError(f"the network takes {', '.join(map(str, shapes))}, not {tensor.shape}")
        at, source = shapes[tensor.shape], np.ascontiguousarray(tensor, np.float32)
        outputs = self._outputs(at)
        pointers = (ctypes.c_void_p * len(outputs))(*(array.ctypes.data for _, array in outputs))
        self._call(self._c.fp_run, self._network, at, source.ctypes.data, pointers)
        return dict(outputs)

    def _outputs(self, size: int) -> list[tuple[str, np.ndarray]]:
        """The names of the outputs, and room for them at a size. Nothing says that the names are different."""
        count = self._c.fp_output_count(self._network)
        facts = [self._c.fp_output_at(self._network, size, at) for at in range(count)]
        return [
            (fact.name.decode(errors="replace"), np.empty((1, fact.channels, fact.height, fact.width), np.float32))
            for fact in facts
        ]

    def people(self, image: np.ndarray, secs: float | None = None, turns: int = 0) -> list[PackagePerson]:
        """The people in a picture, best first.

        Args:
            image: (H, W, 3) BGR, (H, W, 4) BGRA or (H, W) grey, uint8.
            secs: the time of a video's frame, for identities and steadied keypoints; None for a photograph.
            turns: quarter turns clockwise that make it upright.

        Raises:
            UsageError: another array, or a network whose outputs are no people's. PackageError: the driver failed.
        """
        picture, pixels = _image(image, turns)
        records, count = (CPerson * MOST_PEOPLE)(), ctypes.c_uint32(0)
        out = (records, MOST_PEOPLE, ctypes.byref(count))
        if secs is None:
            self._call(self._c.fp_people, self._network, ctypes.byref(picture), *out)
        else:
            self._call(self._c.fp_follow, self._network, ctypes.byref(picture), secs, *out)
        del pixels
        if count.value > MOST_PEOPLE:
            raise PackageError(f"{count.value} people, where there is room for {MOST_PEOPLE}: is this a picture?")
        return [_person(record) for record in records[: count.value]]

    def restart(self) -> None:
        """Forget who was in the video so far."""
        self._c.fp_restart(self._network)

    @property
    def times(self) -> dict[str, float]:
        """Seconds of each layer's kernels in the last inference, by OpenCL events; empty without `events`."""
        room = self._c.fp_times(self._network, None, 0)
        records = (CTime * max(1, room))()
        self._c.fp_times(self._network, records, room)
        return {record.name.decode(): record.secs for record in records[:room]}

    @property
    def replaced(self) -> Sequence[str]:
        """Layers that run by their second kernel, because the first is wrong on this device."""
        room = self._c.fp_replaced(self._network, None, 0)
        names = (ctypes.c_char_p * max(1, room))()
        self._c.fp_replaced(self._network, names, room)
        return [name.decode() for name in names[:room]]


def opencl_libraries(given: str | None) -> list[str | None]:
    """The libOpenCL to try, in order; None is the search of the C runtime. pip's want variables set."""
    if given is not None:
        return [given]
    by_pip = pip_libraries()
    for variable, values in (("PYOPENCL_HOME", [home for _, home, _ in by_pip]),
                             ("OCL_ICD_VENDORS", [vendors for *_, vendors in by_pip])):  # fmt: skip
        if value := next(filter(None, values), None):
            os.environ.setdefault(variable, value)
    only_pip = os.environ.get("FLEETPOSE_LIBOPENCL") == "pip" and by_pip
    return [*([] if only_pip else [None]), *(path for path, *_ in by_pip)]


def _image(image: np.ndarray, turns: int) -> tuple[CImage, np.ndarray]:
    """The C runtime's picture of an array, and the memory that it points to."""
    channels = 1 if image.ndim == 2 else image.shape[-1] if image.ndim == 3 else 0
    if channels not in FORMATS or image.dtype != np.uint8:
        raise UsageError(f"expected (H, W, 3), (H, W, 4) or (H, W) uint8, got {image.shape} {image.dtype}")
    pixels = np.ascontiguousarray(image)
    planes = (ctypes.c_void_p * 3)(pixels.ctypes.data)
    rows = (ctypes.c_uint32 * 3)(pixels.strides[0])
    return CImage(planes, rows, 0, pixels.shape[1], pixels.shape[0], FORMATS[channels], turns % 4), pixels


def _person(record: CPerson) -> PackagePerson:
    keypoints = np.ctypeslib.as_array(record.keypoints).reshape(KEYPOINTS, 3).copy()
    return PackagePerson(keypoints, float(record.score), int(record.identity))
