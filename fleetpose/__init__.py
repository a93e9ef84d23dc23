"""What the four packages share: errors with exit statuses, the command-line frame, atomic files.

This package is the floor of the project: it knows nothing of layers, kernels or devices and imports only the
standard library.
"""

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

if sys.flags.optimize > 1:
    # Its interface to scikit-learn, which we do not use, edits docstrings as it is imported; with -OO there are none.
    sys.modules.setdefault("xgboost.sklearn", None)  # type: ignore[arg-type]

try:
    __version__ = version("fleetpose")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    """`fleetpose.Package`, which lies above this package, is imported when it is asked for (PEP 562)."""
    if name != "Package":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("runtime.package").Package
