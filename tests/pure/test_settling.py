"""Clocks that rise before anything is timed, and marks of what was timed although the device had not settled."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from devices.profile import load_profile
from devices.timing.cooling import CoolingSettings
from devices.timing.measurement import Measurement
from devices.timing.throttling import Mark
from latency.profiling.settling import MOST_BURSTS, Settling
from tests.scripted_conditions import NoTime, Script, ScriptedSession, hot


def burst(ms, clock=None, most=850.0):
    """A sample of a kernel, and the clock that the device says it has behind it."""
    after = {} if clock is None else {"gpu_clock_mhz": clock, "gpu_clock_most_mhz": most}
    return Measurement(wall_secs=(ms / 1e3,), after=after)


def settling(bursts, profile="adreno-640", here=False):
    known = SimpleNamespace(
        spec="rpc:phone", profile=load_profile(profile), on_this_machine=here, info=SimpleNamespace(clock_mhz=0)
    )
    script = Script(bursts)
    session = ScriptedSession(dict, known)
    return Settling(session, CoolingSettings(), script, lambda *_: None, NoTime()), script


@pytest.mark.parametrize(
    ("bursts", "count"),
    [
        ([burst(4, 300), burst(3, 500), burst(1, 850)], 3),  # the highest there is
        ([burst(4, 300), burst(3, 500), burst(3, 500), burst(3, 500)], 4),  # no higher, twice
        ([replace(burst(4), after={"gpu_clock_mhz": clock}) for clock in (300, 500, 600, 600, 600)], 5),
        ([burst(4), burst(2), burst(1), burst(1), burst(0.99)], 5),  # no clock: its time falls no more
        ([burst(1)], 3),
        ([burst(1, 300 * 1.05**number, 1e9) for number in range(99)], MOST_BURSTS),
        ([Measurement(failure="device", error="gone")], 1),
    ],
)
def test_bursts_end_when_the_clock_is_up(bursts, count):
    phone, script = settling(bursts)
    phone.session.info.clock_mhz = 1
    phone.settle()
    assert script.asked == count


@pytest.mark.parametrize("which", [{"here": True}, {"profile": "host"}])
def test_what_is_no_phone_runs_nothing_more_than_before(which):
    machine, script = settling([burst(1)], **which)
    machine.settle()
    assert machine.condition(Measurement(wall_secs=(1.0,))).marks == ()
    assert script.asked == 0


def test_a_slow_clock_is_marked_and_said_once(caplog):
    phone, _ = settling([burst(1, 300)])
    for _ in range(2):
        condition = phone.condition(Measurement(wall_secs=(1.0,)))
        assert (condition.marks, condition.clock_mhz, condition.throttled) == ((Mark.SLOW_CLOCK,), 300.0, False)
    assert caplog.messages == [
        "device 'rpc:phone' runs its GPU at 300 MHz of 850 while it is timed; records say so (slow clock)"
    ]


def test_the_highest_clock_may_be_opencls(caplog):
    phone, _ = settling([replace(burst(1), after={"gpu_clock_mhz": 300.0})])
    assert phone.condition(Measurement(wall_secs=(1.0,))).marks == ()
    phone.session.info.clock_mhz = 1  # as some drivers say
    assert phone.condition(Measurement(wall_secs=(1.0,))).marks == ()
    phone.session.info.clock_mhz = 850
    assert phone.condition(Measurement(wall_secs=(1.0,))).marks == (Mark.SLOW_CLOCK,)


def test_throttling_is_said_with_the_hotter_end(caplog):
    phone, _ = settling([burst(1, 850)])
    condition = phone.condition(Measurement(wall_secs=(1.0,), before=hot(40.0), after=hot(58.0, gpu=2)))
    assert condition.throttled
    assert caplog.messages == [
        "device 'rpc:phone' was at 58.0 °C and slowed down (gpu at 2) while it was timed; records say so (throttled)"
    ]


@pytest.mark.parametrize(("which", "marks"), [({}, (Mark.BUSY,)), ({"profile": "host", "here": True}, ())])
def test_busy_processors_are_other_work_where_the_gpu_is_timed(which, marks, caplog):
    device, _ = settling([burst(1)], **which)
    before = {"cpu_busy_secs": 10.0, "cpu_idle_secs": 10.0, "cpus": 8}
    after = {"cpu_busy_secs": 18.0, "cpu_idle_secs": 10.0, "cpus": 8}
    assert device.condition(Measurement(wall_secs=(1.0,), before=before, after=after)).marks == marks
    assert ("other work that keeps 88% of its processors busy" in caplog.text) == bool(marks)
