"""What conditions say: what is slowed down, how hot the GPU is, and which marks follow from it."""

import pytest

from devices.timing.throttling import Heat, Mark, busy_share, marks_of


@pytest.mark.parametrize(
    ("name", "slows"),
    [
        ("cooling_device0:thermal-cpufreq-0", True), ("cooling_device1:thermal-devfreq-0", True),
        ("cooling_device2:Processor", True), ("cooling_device9:mali", True), ("cooling_device3:Fan", False),
        ("cooling_device4:modem_tj", False), ("cooling_device5:panel0-backlight", False),
    ],
)  # fmt: skip
def test_what_slows_kernels_down_is_told_by_its_name(name, slows):
    assert bool(Heat.of({"throttled": {name: 2}}).slowed) == slows


def test_the_gpus_zones_come_before_others():
    zones = {"thermal_zone0:cpu-1-7": 71.0, "thermal_zone1:gpuss-0": 48.0, "thermal_zone2:gpuss-1": 51.5}
    assert Heat.of({"temperatures_celsius": zones}).celsius == 51.5
    assert Heat.of({"temperatures_celsius": {"thermal_zone0:x86_pkg_temp": 62.0, "thermal_zone1:?": 40}}).celsius == 62


@pytest.mark.parametrize(
    "answer",
    [{}, {"throttled": None}, {"throttled": [3]}, {"throttled": {"cpu": "hot"}, "temperatures_celsius": {"gpu": True}},
     {"throttled": {"cpu": float("nan")}, "temperatures_celsius": {}}],
)  # fmt: skip
def test_what_is_not_there_or_no_number_says_nothing(answer):
    assert Heat.of(answer) == Heat()
    assert marks_of(answer, answer) == ()
    assert not Heat.of(answer).is_above(10.0)


def test_throttling_at_either_end_marks_a_run():
    slowed = {"throttled": {"cooling_device0:gpu": 1}}
    assert marks_of(slowed, {}) == marks_of({}, slowed) == (Mark.THROTTLED,)


@pytest.mark.parametrize(
    ("clock", "most", "marks"),
    [(300.0, 850.0, (Mark.SLOW_CLOCK,)), (681.0, 850.0, ()), (None, 850.0, ()), (300.0, None, ())],
)
def test_a_clock_below_four_fifths_of_the_highest_is_marked(clock, most, marks):
    assert marks_of({}, {}, clock, most) == marks


def core_secs(busy, idle):
    return {"cpu_busy_secs": busy, "cpu_idle_secs": idle, "cpus": 8}


def test_other_work_is_what_the_launching_core_does_not_explain():
    before = core_secs(100.0, 900.0)
    assert busy_share(before, core_secs(102.0, 906.0)) == pytest.approx(0.25 - 1 / 8)
    assert busy_share(before, core_secs(100.5, 907.5)) == 0.0
    assert marks_of(before, core_secs(105.0, 903.0)) == (Mark.BUSY,)
    assert marks_of(before, core_secs(102.0, 906.0)) == ()


@pytest.mark.parametrize("after", [core_secs(100.2, 900.2), {"cpu_busy_secs": 200.0}, {}])
def test_too_few_ticks_say_nothing_of_other_work(after):
    assert busy_share(core_secs(100.0, 900.0), after) is None
