"""The OpenCL backend for TVM's wheel: finds and loads the C++ library of this folder.

`load` is the `tvm.backends` entry point, so it runs in the middle of `import tvm`, in RPC servers too, and on machines
without OpenCL. It therefore imports nothing heavy, touches no device, and never raises: without the library
`tvm.opencl(0).exist` stays False, and `status` says why.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from pathlib import Path
from typing import Any

from runtime import built_library
from runtime.pip_opencl import pip_libraries

LIBRARY_NAME = "libfleetpose_opencl.so"

_library: ctypes.CDLL | None = None  # kept: the registered functions live in it
_path: Path | None = None
_error: str | None = None


def load() -> None:
    """Load the backend once; its global functions are registered by that."""
    global _library, _path, _error
    if _library is not None:
        return
    _path = library_path()
    if _path is None:
        _error = f"{LIBRARY_NAME} is not built; in the source tree: pip install --no-build-isolation -e ."
        return
    try:
        _library = ctypes.CDLL(str(_path), mode=ctypes.RTLD_LOCAL)
        _offer_pip_libraries(_library)
        _error = None
    except Exception as error:
        _error = f"{_path} cannot be loaded: {error}"
        warnings.warn(f"fleetpose: no OpenCL backend: {_error}", stacklevel=2)


def status() -> dict[str, Any]:
    """What `load` did: `library` (path or None), `loaded`, `error` (or None). Does not load anything itself."""
    path = _path or library_path()
    return {"library": str(path) if path else None, "loaded": _library is not None, "error": _error}


def library_path() -> Path | None:
    """The built library; None where it is not built."""
    return built_library(Path(__file__).parent, "devices/runtime", LIBRARY_NAME)


def _offer_pip_libraries(library: ctypes.CDLL) -> None:
    """Tell the backend of them."""
    library.fleetpose_opencl_offer_pip_library.argtypes = [ctypes.c_char_p] * 3
    library.fleetpose_opencl_offer_pip_library.restype = None
    for paths in pip_libraries():
        library.fleetpose_opencl_offer_pip_library(*map(os.fsencode, paths))
