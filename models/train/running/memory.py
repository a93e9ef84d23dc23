"""Large tensors that are used again and again: glibc, by default, gives each back to the system and gets it anew."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _NEVER = -1, -4, 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; answers whether it will. Without page faults a CPU's steps take 0.85 times
    as long or less, and memory stays at its peak."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _NEVER))
