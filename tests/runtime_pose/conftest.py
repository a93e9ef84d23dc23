"""The runtime's pose/, compiled once; OpenCV by its own code, which is what the runtime computes."""

import cv2
import pytest

from benchmarks.runtime_pose import PoseLibrary, c_compiler, compile_pose_library
from fleetpose.errors import UsageError


@pytest.fixture(scope="session")
def compiler():
    try:
        return c_compiler()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def library(compiler, tmp_path_factory):
    return PoseLibrary(compile_pose_library(tmp_path_factory.mktemp("runtime_pose") / "libpose.so", compiler))


@pytest.fixture
def plain_opencv():
    """Without Intel's primitives, which round otherwise and are on x86-64 only."""
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    yield
    cv2.ipp.setUseIPP(before)
