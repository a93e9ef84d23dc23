"""What other code does by itself: print to stdout, which is for results, and read symbols for backtraces."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


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


@contextlib.contextmanager
def results_apart() -> Iterator[TextIO]:
    """Send to stderr what is printed inside, by Python, native code or child processes; yield the stream for results.

    That is the process's stdout. A network of a user's own may print as it is imported, made or run.
    """
    real = sys.stdout
    sys.stdout = sys.stderr
    try:
        if _descriptor(real) == 1 and _descriptor(sys.stderr) == 2:
            with _moved_stdout(real) as results:
                yield results
        elif real is None:  # it was closed before the process began
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                yield nowhere
        else:
            yield real
    finally:
        sys.stdout = real


def _descriptor(stream: TextIO | None) -> int | None:
    """Of a stream that is a file's; None of others, such as a test's."""
    try:
        return None if stream is None else stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


@contextlib.contextmanager
def _moved_stdout(real: TextIO) -> Iterator[TextIO]:
    library = ctypes.CDLL(None)
    real.flush()
    library.fflush(None)
    results = open(os.dup(1), "w", encoding=real.encoding, errors=real.errors)  # noqa: SIM115  closed below
    try:
        os.dup2(2, 1)
        yield results
    finally:
        with contextlib.suppress(OSError, ValueError):
            real.flush()
        library.fflush(None)
        os.dup2(results.fileno(), 1)
        with contextlib.suppress(OSError):  # whoever wrote to it has been told
            results.close()


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
