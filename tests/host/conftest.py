import ctypes.util
from collections.abc import Iterator

import pytest

from devices import open_device
from devices.session import Session
from runtime.pip_opencl import pip_libraries
from tests import opencl


@pytest.fixture(scope="session")
def sessions() -> Iterator[dict[bool, Session]]:
    """The open sessions with this machine's own OpenCL: by the system's library (True), or the usual one."""
    opened: dict[bool, Session] = {}
    yield opened
    for session in opened.values():
        session.close()


@pytest.fixture(scope="module", autouse=True)
def library(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether this module's tests, and the processes that they start, run on the system's OpenCL."""
    system = request.node.get_closest_marker("system_opencl") is not None
    with pytest.MonkeyPatch.context() as patch:
        for name, value in opencl.SYSTEM.items() if system else ():
            patch.setenv(name, value)
        yield system


@pytest.fixture(scope="module")
def host(sessions: dict[bool, Session], library: bool) -> Session:
    """A session with this machine's own OpenCL over loopback RPC.

    Skipped only where there is no OpenCL at all; that it is there and cannot be reached is a failure.
    """
    if ctypes.util.find_library("OpenCL") is None and not pip_libraries():
        pytest.skip("this machine has no libOpenCL (python -m devices.doctor says how to get it)")
    if library not in sessions:
        sessions[library] = open_device("host")
    return sessions[library]
