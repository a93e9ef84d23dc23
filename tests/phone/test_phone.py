"""A phone (or any machine) behind a tracker: TVM_TRACKER_HOST, TVM_TRACKER_PORT and TVM_TRACKER_KEY."""

import os

import numpy as np
import pytest

KEY = os.environ.get("TVM_TRACKER_KEY")
PROFILE = os.environ.get("FLEETPOSE_PROFILE")

pytestmark = pytest.mark.skipif(
    not KEY, reason="needs a phone: set TVM_TRACKER_HOST, TVM_TRACKER_PORT, TVM_TRACKER_KEY (FLEETPOSE_PROFILE)"
)


@pytest.fixture(scope="module")
def session():
    from devices import open_device

    with open_device(f"rpc:{KEY}", profile=PROFILE) as opened:
        yield opened


@pytest.fixture(scope="module")
def module(session, tmp_path_factory):
    from devices.diagnosis import small_kernel

    path = tmp_path_factory.mktemp("kernel") / f"small{small_kernel.suffix_of(session)}"
    return session.load(small_kernel.build(path, machine=small_kernel.machine_of(session)))


def test_phone_runs_a_small_kernel_right(session, module):
    from devices.diagnosis import small_kernel

    assert small_kernel.error_on(session, module) == 0


def test_phone_times_a_kernel(session, module):
    import tvm

    from devices.timing.measure import measure

    args = [tvm.runtime.tensor(np.zeros(1000, "float32"), device=session.device) for _ in range(2)]
    found = measure(session, module, args)
    assert found.error is None
    assert found.wall_median_secs > 0
