"""How a package is opened, and texts as C takes them."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from fleetpose.disk.caches import cache_folder
from fleetpose.errors import UsageError
from runtime.interface import COptions


@dataclass(frozen=True)
class PackageOptions:
    """How a package is opened; None is the default of the C runtime.

    library: libOpenCL. device: PLATFORM[:DEVICE]. cache: folder for compiled kernels; "" keeps none.
    events: keep the times of layers. self_check: compare kernels with what they should compute at the first start.
    record: launch all kernels at once where the driver can. any_device: run it on another kind of device.
    """

    library: str | None = None
    device: str | None = None
    cache: str | None = None
    events: bool = False
    self_check: bool = True
    record: bool = False
    any_device: bool = False

    def pack(self) -> COptions:
        flags = self.events | (not self.self_check) << 1 | self.record << 2 | self.any_device << 3
        folder = cache_folder() if self.cache is None else self.cache
        texts = (self.library, self.device, folder or None)
        return COptions(ctypes.sizeof(COptions), flags, *(None if text is None else encoded(text) for text in texts))


def encoded(path: str | os.PathLike[str]) -> bytes:
    """A path as C takes it. Raises UsageError for one that C would cut at a zero."""
    if b"\0" in (given := os.fsencode(path)):
        raise UsageError(f"a path holds no zero: {given!r}")
    return given
