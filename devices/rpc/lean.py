"""Importing TVM as its runtime alone: no compiler, no torch.

Two things would pull them in. TVM loads its compiler library unless TVM_USE_RUNTIME_LIB=1 is set, and `tvm_ffi` imports
torch wherever torch is installed (it wants torch's DLPack functions), which takes a second and half a gigabyte. A
process that only runs kernels needs neither.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from fleetpose.errors import UsageError


def without_compiler() -> None:
    """Make this process's coming `import tvm` load the runtime only. Too late, and harmless, if TVM is imported.

    From here on `import torch` fails in this process, so only a process (or command) that never wants it may call this.
    """
    if "tvm" in sys.modules:
        return
    os.environ["TVM_USE_RUNTIME_LIB"] = "1"
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]


def import_rpc() -> Any:
    """`tvm.rpc`, imported; UsageError with the command that explains where TVM cannot be."""
    try:
        import tvm.rpc
    except (ImportError, OSError) as error:
        raise UsageError(f"TVM cannot be imported: {error}\nsee: python -m devices.doctor") from error
    return tvm.rpc
