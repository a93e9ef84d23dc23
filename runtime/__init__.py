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
    """The library for this machine; None where it is not built."""
    return built_library(Path(__file__).parent, "runtime", LIBRARY_NAME)


def built_library(folder: Path, package: str, name: str) -> Path | None:
    """A library that was built: beside the code (a wheel), or where the distribution is installed (editable).

    Args:
        folder: of the code. package: its path among installed packages. name: of the library.
    """
    folders = [folder]
    with suppress(importlib.metadata.PackageNotFoundError):
        folders.append(Path(str(importlib.metadata.distribution("fleetpose").locate_file(package))))
    return next((place / name for place in folders if (place / name).is_file()), None)
