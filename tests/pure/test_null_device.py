"""The null device: the same pseudo times everywhere, never taken for a device."""

import subprocess
import sys
import time

import pytest

from devices import open_device
from devices.null import NullKernel
from devices.opening import check_runs_kernels
from devices.timing.measure import measure
from fleetpose.errors import UsageError


@pytest.fixture
def session():
    with open_device("null") as opened:
        yield opened


def test_null_device_never_claims_to_be_a_device(session):
    found = measure(session, session.kernel("k", macs=1e6))
    assert (session.spec, session.info.name, session.info.kind) == ("null", "null", "null")
    assert found.timer == found.device["kind"] == "null"


def test_null_device_times_a_key_alike_in_another_process():
    code = "from devices.null import NullKernel; print(repr(NullKernel('conv 3x3', 1e8, 1e6).samples(3)))"
    seen = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout.strip()
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})
    }
    assert seen == {repr(NullKernel("conv 3x3", 1e8, 1e6).samples(3))}


def test_null_device_times_are_plausible(session):
    def secs(key, macs):
        return measure(session, session.kernel(key, macs=macs)).event_median_secs

    assert 3.0 < secs("dense", 4e9) / secs("sparse", 1e9) < 5.0
    assert secs("a", 1e8) != secs("b", 1e8)


def test_null_device_wall_is_longer_than_event(session):
    found = measure(session, session.kernel("k", macs=1e6))
    assert found.wall_median_secs > found.event_median_secs > 0


def test_null_device_refuses_load_and_remote(session, tmp_path):
    with pytest.raises(UsageError, match="the null device cannot load"):
        session.load(tmp_path / "kernel.so")
    with pytest.raises(UsageError, match="the null device has no remote"):
        session.remote  # noqa: B018


def test_null_device_is_refused_by_commands_that_run_something(session):
    for device in ("null", session):
        with pytest.raises(UsageError, match="the null device runs nothing; use --device host"):
            check_runs_kernels(device)
    check_runs_kernels("host")
    assert (session.runs_kernels, session.on_this_machine) == (False, True)


def test_null_device_times_only_its_own_kernels(session):
    found = measure(session, time.sleep, (0,))
    assert found.failure == "error"
    assert "NullKernel only" in found.error


def test_open_device_suggests_a_name():
    with pytest.raises(UsageError, match=r"unknown device 'nul'; did you mean 'null'\?"):
        open_device("nul")
    with pytest.raises(UsageError, match="lacks its key"):
        open_device("rpc:")


def test_null_device_imports_neither_tvm_nor_torch():
    code = (
        "import sys; from devices import open_device; from devices.timing.measure import measure; "
        "s = open_device('null');"
        "measure(s, s.kernel('k')); print([m for m in ('tvm', 'tvm_ffi', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
