"""The OpenCL libraries that pip's packages bring, found by their places in the environment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def pip_libraries() -> list[tuple[str, str, str]]:
    """The OpenCL libraries that pip has installed beside this Python, in the order in which they are tried.

    Each is (path, PYOPENCL_HOME, OCL_ICD_VENDORS), "" where that variable is not needed. They are tried where the
    system has none; with FLEETPOSE_LIBOPENCL=pip nothing else is:

    - Intel's runtime for x86-64 CPUs (intel-opencl-rt), which needs no ICD loader. It is looked for by its place in the
      environment, since its own .icd file names a path of the machine that it was built on.
    - the ICD loader in pyopencl's wheel.
    """
    libraries = []
    intel = Path(sys.prefix) / "lib" / "libintelocl.so"
    if intel.is_file():
        libraries.append((str(intel), "", ""))
    spec = importlib.util.find_spec("pyopencl")  # finds, does not import
    if spec is not None and spec.submodule_search_locations:
        home = Path(spec.submodule_search_locations[0])
        # pocl-binary-distribution puts libpocl here too, with an .icd that only pyopencl itself can follow.
        loader, driver = (
            next(iter(sorted((home / ".libs").glob(f"{name}*.so*"))), "") for name in ("libOpenCL", "libpocl")
        )
        if loader:
            libraries.append((str(loader), str(home), str(driver)))
    return libraries
