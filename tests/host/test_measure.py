"""Measuring compiled kernels over RPC: both clocks, the ratio of known work, and every failure as a result."""

import json
import time

import numpy as np
import psutil
import pytest
import tvm
from tvm.script import ir as I
from tvm.script import tirx as T

from devices import open_device
from devices.diagnosis import small_kernel
from devices.timers import TimedCall, Timer, TimeSample
from devices.timing.interleaved import measure_interleaved
from devices.timing.measure import measure, number_for
from devices.timing.measurement import Measurement
from fleetpose.codec import decode, encode

MANY = 4000
FAR = 1 << 36  # in vectors of 64 bytes


@I.ir_module(s_tir=True)
class Crash:
    """Writes terabytes behind its buffer."""

    @T.prim_func(s_tir=True)
    def main(A: T.Buffer((1000,), "float32"), B: T.Buffer((1000,), "float32")):
        for block in T.thread_binding(1, thread="blockIdx.x"):
            for thread in T.thread_binding(1, thread="threadIdx.x"):
                with T.sblock("B"):
                    T.axis.spatial(1, block + thread)
                    T.evaluate(
                        T.call_extern("int32", "vstore16", T.Broadcast(A[0], 16), T.int64(FAR), T.address_of(B[0]))
                    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    steps = {"one": 1, "many": MANY, "endless": 1 << 40}
    return {name: small_kernel.build(folder / f"{name}.so", count) for name, count in steps.items()}


@pytest.fixture(scope="module")
def session():
    with open_device("host") as opened:
        yield opened


def arguments(session):
    return [tvm.runtime.tensor(np.zeros(small_kernel.LENGTH, "float32"), device=session.device) for _ in range(2)]


def test_measure_gives_both_clocks_and_everything_a_record_needs(session, paths):
    found = measure(session, session.load(paths["many"]), arguments(session), repeats=6, number=3)
    assert found.error is None
    assert len(found.event_secs) == len(found.wall_secs) == 6
    assert found.number == 3
    assert all(0 < event <= wall for event, wall in zip(found.event_secs, found.wall_secs, strict=True))
    assert found.timer == "opencl events and wall"
    assert found.device["driver"] == session.info.driver
    assert found.device["spec"] == "host"
    assert found.device["profile"].startswith("host")
    assert found.before["load_1min"] >= 0
    assert found.after["time_unix_secs"] >= found.before["time_unix_secs"]
    assert found.versions["apache-tvm"] == tvm.__version__
    assert decode(Measurement, json.loads(json.dumps(encode(found), allow_nan=False))) == found


def test_measure_samples_last_as_long_as_asked(session, paths):
    found = measure(session, session.load(paths["one"]), arguments(session), repeats=3, min_repeat_secs=0.002)
    assert found.ok
    assert found.number > 1


class HeldUp(Timer):
    """A timer of runs of `run_secs`, whose samples of some numbers take longer because the machine held them up."""

    name = "held up"

    def __init__(self, run_secs, late):
        self.run_secs, self.late, self.trials = run_secs, late, 0

    def warm(self, number):
        pass

    def samples(self, number, repeats):
        assert repeats == 1
        self.trials += 1
        return [TimeSample(None, self.run_secs + self.late.get(self.trials, 0) / number)]


@pytest.mark.parametrize("late", [{}, {1: 0.01}, {1: 0.004, 3: 0.004}, {2: 0.02, 3: 0.01}])
def test_runs_that_the_machine_held_up_are_not_taken_for_how_long_runs_are(late):
    assert number_for(HeldUp(1e-4, late), min_repeat_secs=0.002) >= 20


def test_what_runs_long_is_tried_once():
    timer = HeldUp(0.06, {})
    assert number_for(timer, min_repeat_secs=0.002) == 1
    assert timer.trials == 1


def test_a_python_callable_has_wall_time_only(session):
    found = measure(session, time.sleep, (0.01,), repeats=3, number=1)
    assert found.event_secs == ()
    assert found.timer == "python clock"
    assert found.wall_median_secs >= 0.01


def test_interleaved_ratio_of_far_more_work(session, paths):
    args = arguments(session)
    calls = {name: TimedCall(session.load(paths[name]), args) for name in ("many", "one")}
    found = measure_interleaved(session, calls, rounds=9)
    ratio = found.ratios["one"]
    assert found.clock == "event"
    assert ratio.low > 2, ratio  # 4000 times the work: the direction, not the speed, is what is tested
    assert ratio.low <= ratio.median <= ratio.high
    assert [len(one.event_secs) for one in found.measurements.values()] == [9, 9]


def test_measure_fails_in_words_for_wrong_arguments(session, paths):
    wrong = tvm.runtime.tensor(np.zeros(3, "float32"), device=session.device)
    found = measure(session, session.load(paths["one"]), [wrong, wrong])
    assert found.failure == "error"
    assert found.wall_secs == ()
    assert session.alive()


def test_an_entry_that_is_not_there_is_a_result(session, paths):
    found = measure(session, session.load(paths["one"]), arguments(session), entry="mian")
    assert found.failure == "error"
    assert "mian" in found.error


def test_something_that_cannot_be_timed_is_a_result(session):
    assert "neither a module nor a callable" in measure(session, 42).error


def test_a_hung_kernel_is_a_timeout_and_the_session_can_go_on(paths):
    with open_device("host") as session:
        found = measure(session, session.load(paths["endless"]), arguments(session), timeout_secs=1)
        assert (found.failure, found.wall_secs) == ("timeout", ())
        assert "the limit of 1 s passed" in found.error
        assert measure(session, session.load, (paths["one"],)).failure == "device"
        session.reconnect()
        assert measure(session, session.load(paths["one"]), arguments(session)).ok


def test_a_python_callable_that_hangs_is_a_timeout():
    with open_device("host") as session:
        found = measure(session, time.sleep, (60,), timeout_secs=0.5)
        assert found.failure == "timeout"


def test_a_device_that_went_away_is_a_result(paths):
    with open_device("host") as session:
        module, args = session.load(paths["one"]), arguments(session)
        for process in psutil.Process(session._loopback.process.pid).children(recursive=True):
            process.kill()
        found = measure(session, module, args)
        assert found.failure == "device"
        assert "went away while" in found.error
        assert found.after == {}


def test_a_kernel_that_crashes_the_devices_process_is_a_result(tmp_path, paths):
    path = tmp_path / "crash.so"
    target = tvm.target.Target({"kind": "opencl", "max_threads_per_block": 64}, host="llvm")
    tvm.tirx.build(Crash, target=target).export_library(str(path), fcompile=small_kernel.linker())
    with open_device("host") as session:
        found = measure(session, session.load(path), arguments(session))
        assert found.failure == "device"
        assert "Segfault" in found.error  # the server's log is quoted
        session.reconnect()
        assert measure(session, session.load(paths["one"]), arguments(session)).ok


def test_an_interleaved_hang_fails_what_hung_and_says_why_the_rest_has_nothing(paths):
    with open_device("host") as session:
        args = arguments(session)
        calls = {name: TimedCall(session.load(paths[name]), args) for name in ("one", "endless")}
        found = measure_interleaved(session, calls, rounds=2, timeout_secs=1)
        assert found.measurements["endless"].failure == "timeout"
        assert found.measurements["one"].failure == "device"
        assert found.ratios == {}
