"""The C runtime: packages (.fpk) run on a GPU, and people found, without TVM and torch.

`include/fleetpose.h` is what apps link against, `src/` is all there is of it, and `runtime.package` reaches it from
Python. It lies beside `devices`, and not in it, because it knows nothing of RPC, sessions or TVM: apps ship it.
"""

from __future__ import annotations

import importlib.metadata
from contextlib import suppress
from pathlib import Path

LIBRARY_NAME = "libfleetpose.so"
#: the folder of the header, and that of the C sources
INCLUDE, SOURCES = (Path(__file__).parent / name for name in ("include", "src"))


def library_path() -> Path | None:
    """The library for this machine: beside this file (a wheel), or where the distribution is installed (editable)."""
    folders = [Path(__file__).parent]
    with suppress(importlib.metadata.PackageNotFoundError):
        folders.append(Path(str(importlib.metadata.distribution("fleetpose").locate_file("runtime"))))
    return next((folder / LIBRARY_NAME for folder in folders if (folder / LIBRARY_NAME).is_file()), None)
