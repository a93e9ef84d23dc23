"""A sustained run over RPC: both calls in turn for as long as was asked, on the device's clock."""

import time

import pytest

from devices import open_device
from devices.timers import TimedCall
from devices.timing.sustained import sustain


@pytest.fixture(scope="module")
def session():
    with open_device("host") as opened:
        yield opened


def test_both_networks_run_in_turn_for_the_time_that_is_asked_for(session):
    calls = {"dense": TimedCall(time.sleep, (0.02,)), "sparse": TimedCall(time.sleep, (0.01,))}
    said = []
    started = time.monotonic()
    found = sustain(session, calls, 0.02, lambda text, done=0, total=0: said.append((text, done, total)))
    assert time.monotonic() - started >= 1.2
    assert found["rounds"] == len(said) > 5
    assert said[-1][0].startswith("sustained: 0.0 of 0.02 minutes")
    assert found["last"]["speedup"] > 1.2
    assert found["first"]["dense_ms"] >= 20
    assert found["conditions"]["load_1min"] >= 0
    assert found["throttled"] in (True, False)


def test_at_least_one_round_is_run(session):
    calls = {name: TimedCall(time.sleep, (0.001,)) for name in ("dense", "sparse")}
    assert sustain(session, calls, 1e-9, lambda *_: None)["rounds"] == 1
