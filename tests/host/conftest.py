import ctypes.util

import pytest

from devices import open_device, runtime


@pytest.fixture(scope="session")
def host():
    """A session with this machine's own OpenCL over loopback RPC.

    Skipped only where there is no OpenCL at all; that it is there and cannot be reached is a failure.
    """
    if ctypes.util.find_library("OpenCL") is None and not runtime.pip_libraries():
        pytest.skip("this machine has no libOpenCL (python -m devices.doctor says how to get it)")
    with open_device("host") as session:
        yield session
