"""What native libraries do by themselves: print to stdout, which is for results, and read symbols for backtraces."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def without_native_output() -> Iterator[None]:
    """Drop what C and C++ code prints to stdout inside, buffered or not; the process's only stdout, for all threads."""
    library = ctypes.CDLL(None)
    sys.stdout.flush()
    library.fflush(None)
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        library.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def read_symbols_before_torch() -> None:
    """Make TVM read the symbols that name the functions in its errors' backtraces, while torch is not loaded.

    It reads those of all loaded libraries, once, at the first error, and importing TVM meets one. With torch's among
    them that takes a second of CPU in every process, without them a third. Does nothing where it is too late.
    """
    if "torch" in sys.modules or "tvm_ffi" in sys.modules:
        return
    spec = importlib.util.find_spec("tvm_ffi")
    for folder in (spec and spec.submodule_search_locations) or ():
        with contextlib.suppress(OSError, AttributeError):
            backtrace = ctypes.CDLL(str(Path(folder, "lib", "libtvm_ffi.so"))).TVMFFIBacktrace
            backtrace.restype = None
            backtrace(None, 0, None, 0)
