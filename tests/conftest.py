"""What every test folder shares."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fleetpose.cli import COLLECTIONS
from tests import opencl, sweep

# No test has a time limit: on a busy machine hypothesis takes a second for what is otherwise instant.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# One thread for each process's matrix arithmetic: the tests run in as many processes as there are cores, whose threads
# would wait for each other by spinning; and a child process then rounds as its parent does, so bits can be compared.
# Set before anything imports a library that reads it. OpenCL kernels keep their threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

gc.set_threshold(*COLLECTIONS)  # as in commands

# A shell without job control starts what is behind `&` with SIGINT ignored, nohup with SIGHUP, and children inherit
# that: those that tests interrupt would not notice.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)


# Intel's OpenCL compiles a kernel in less than half of PoCL's time, so the tests run on it where `make test` has
# installed it, but for those that are marked `system_opencl`. With FLEETPOSE_LIBOPENCL= (empty) all take the system's.
if opencl.INTEL.is_file():
    os.environ.setdefault("FLEETPOSE_LIBOPENCL", "pip")
if not opencl.by_pip():
    os.environ.update(opencl.SYSTEM)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `make test-all` runs, unless everything is asked for or a test is named.

    That is what is marked `long`, unless `-m` speaks of it, and most cases of what is marked `part`; in a quick run
    most cases of every test.
    """
    if sweep.EVERYTHING or any("::" in name for name in config.args):
        return
    left_out = [] if "long" in config.option.markexpr else [item for item in items if item.get_closest_marker("long")]
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for of_one_test in cases.values():
        part = of_one_test[0].get_closest_marker("part")
        if (most := sweep.MOST_CASES or (part and part.args[0])) is not None:
            taken = sweep.sample(of_one_test, most)
            left_out += [item for item in of_one_test if item not in taken and item not in left_out]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of development data: $FLEETPOSE_SHARED, or ../shared beside the repository. Skips where absent."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FLEETPOSE_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(f"development data not found: no {folder / 'data'} (set FLEETPOSE_SHARED to its folder)")
    return folder
