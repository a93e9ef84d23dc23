from collections.abc import Iterator

import pytest

from devices import open_device
from devices.session import Session
from fleetpose.errors import FleetposeError


@pytest.fixture(scope="session")
def half() -> Iterator[Session]:
    """A session with this machine's OpenCL, which computes in half precision and reads images."""
    try:
        session = open_device("host")
    except FleetposeError as error:
        pytest.skip(f"this machine has no OpenCL: {error}")
    with session:
        if not (session.profile.fp16 and session.profile.image2d):
            pytest.skip(
                f"{session.info.platform} has no half precision or no images here; `make dev` installs Intel's OpenCL, "
                "which has both on x86-64, and FLEETPOSE_LIBOPENCL names another library"
            )
        yield session
