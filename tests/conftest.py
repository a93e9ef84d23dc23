"""What every test folder shares."""

from __future__ import annotations

import ctypes.util
import os
import signal
from pathlib import Path

import pytest

from tests import sweep

# One thread for each process's matrix arithmetic: the tests run in as many processes as there are cores, whose threads
# would wait for each other by spinning; and a child process then rounds as its parent does, so bits can be compared.
# Set before anything imports a library that reads it. OpenCL kernels keep their threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

# A shell without job control starts what is behind `&` with SIGINT ignored, nohup with SIGHUP, and children inherit
# that: those that tests interrupt would not notice.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)


# PoCL keeps what it compiled for all processes. A program cache above that costs time in tests: asked for a program's
# binary at the second build, PoCL compiles it twice more. pip's OpenCL (Intel's) keeps nothing itself.
if ctypes.util.find_library("OpenCL") is not None and os.environ.get("FLEETPOSE_LIBOPENCL") != "pip":
    os.environ.setdefault("FLEETPOSE_CACHE", "0")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `long`, unless everything is asked for, `-m` speaks of it, or a test is named."""
    if sweep.EVERYTHING or "long" in config.option.markexpr or any("::" in name for name in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of development data: $FLEETPOSE_SHARED, or ../shared beside the repository. Skips where absent."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FLEETPOSE_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(f"development data not found: no {folder / 'data'} (set FLEETPOSE_SHARED to its folder)")
    return folder
