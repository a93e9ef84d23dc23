import pytest

from devices import open_device
from fleetpose.errors import DeviceUnreachable


@pytest.fixture(scope="session")
def host():
    """A session with this machine's own OpenCL over loopback RPC."""
    try:
        session = open_device("host")
    except DeviceUnreachable as error:
        pytest.skip(f"no OpenCL here: {error}")
    with session:
        yield session
