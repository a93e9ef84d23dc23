"""Which OpenCL library a test runs on: pip's, which compiles faster, or the system's, which most machines have."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path

#: Intel's runtime, where pip has put it beside this Python
INTEL = Path(sys.prefix) / "lib" / "libintelocl.so"
#: Environment under which processes take the system's library. PoCL keeps what it compiled for all processes; a program
#: cache above that costs time in tests: asked for a program's binary at the second build, PoCL compiles it twice more.
#: Intel's runtime keeps nothing itself.
SYSTEM = {"FLEETPOSE_LIBOPENCL": "", "FLEETPOSE_CACHE": "0"} if ctypes.util.find_library("OpenCL") else {}


def by_pip() -> bool:
    """Whether this run takes pip's library where a test does not ask for the system's."""
    return not SYSTEM or os.environ.get("FLEETPOSE_LIBOPENCL") == "pip"
