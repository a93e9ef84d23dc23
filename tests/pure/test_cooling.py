"""Waiting for a device to cool, with conditions that a test says and without time going by."""

from types import SimpleNamespace

import pytest

from devices.profile import PROFILE_DIR, load_profile
from devices.timing.cooling import PHONE_SECS, STEADY_SECS, Cooler, CoolingSettings
from fleetpose.errors import UsageError
from fleetpose.progress import no_report
from tests.scripted_conditions import NoTime, Script, ScriptedSession, hot

WAITS = CoolingSettings(max_celsius=45.0, wait_cool=100.0)


def device(script, profile="mali-g76", here=False):
    known = SimpleNamespace(spec="rpc:phone", profile=load_profile(profile), on_this_machine=here)
    return ScriptedSession(script, known)


def cooler(script, settings=WAITS, report=no_report, **which):
    return Cooler(device(script, **which), settings, report, NoTime())


def test_a_cool_device_is_asked_once_and_not_waited_for(caplog):
    script = Script([hot(44.9)])
    cool = cooler(script)
    assert cool.wait()
    assert (script.asked, cool.stop.waits, caplog.text) == (1, [], "")


def test_a_hot_device_is_waited_for_until_it_is_below_the_limit(caplog):
    said = []
    cool = cooler(Script([hot(52.3), hot(49.0), hot(46.0), hot(44.0)]), report=lambda text, *_: said.append(text))
    assert cool.wait()
    assert cool.stop.waits == [1.0, 2.0, 4.0]
    assert caplog.messages == ["device 'rpc:phone' is at 52.3 °C; waiting until it is at 45 °C, 100 s at most"]
    assert said[-1] == "at 46.0 °C; waiting for 3 of 100 s until it is at 45 °C"


def test_a_device_that_slows_itself_down_is_waited_for_whatever_its_temperature(caplog):
    cool = cooler(Script([hot(40.0, gpu=2), hot(39.9, gpu=1), hot(39.9)]), CoolingSettings(wait_cool=10.0))
    assert cool.wait()
    assert cool.stop.waits == [1.0, 2.0]
    assert "is at 40.0 °C and slowed down (gpu at 2); waiting until nothing is slowed down" in caplog.text


def test_waiting_ends_with_its_time(caplog):
    falling = [hot(90.0 - number) for number in range(40)]
    cool = cooler(Script(falling), CoolingSettings(max_celsius=45.0, wait_cool=12.0))
    assert not cool.wait()
    assert sum(cool.stop.waits) == 12.0
    assert "stays at 86.0 °C" in caplog.text


def test_a_temperature_that_does_not_fall_is_waited_for_no_longer_and_not_again():
    script = Script([hot(50.0)])
    cool = cooler(script)
    assert not cool.wait()
    assert STEADY_SECS <= sum(cool.stop.waits) < STEADY_SECS + 5
    waited = len(cool.stop.waits)
    assert not cool.wait()
    script.answers = [hot(51.9)]
    assert not cool.wait()
    assert len(cool.stop.waits) == waited
    script.answers = [hot(52.1)]
    cool.wait()
    assert len(cool.stop.waits) > waited


def test_a_clock_that_is_held_down_for_good_is_waited_for_once_however_warm_runs_make_it():
    script = Script([hot(35.0, cpu=1)])
    cool = cooler(script, CoolingSettings(wait_cool=100.0))
    assert not cool.wait()
    waited, script.answers = len(cool.stop.waits), [hot(48.0, cpu=1)]
    assert not cool.wait()
    assert len(cool.stop.waits) == waited
    script.answers = [hot(48.0, cpu=2)]
    assert not cool.wait()
    assert len(cool.stop.waits) > waited


def test_once_it_was_cool_the_same_heat_is_waited_for_again():
    script = Script([hot(50.0)])
    cool = cooler(script)
    cool.wait()
    script.answers = [hot(40.0)]
    assert cool.wait()
    waited, script.answers = len(cool.stop.waits), [hot(50.0)]
    cool.wait()
    assert len(cool.stop.waits) > waited


def test_a_stopped_wait_ends_at_once():
    cool = cooler(Script([hot(50.0)]))
    cool.stop.set()
    assert not cool.wait()
    assert len(cool.stop.waits) == 1


@pytest.mark.parametrize("which", [{"here": True}, {"profile": "host"}, {"profile": "host-avx2", "here": True}])
def test_a_machine_that_is_no_phone_is_not_even_asked_by_default(which):
    script = Script([hot(99.0, cpu=3)])
    cool = cooler(script, CoolingSettings(), **which)
    assert not cool.wait()
    assert (script.asked, cool.stop.waits) == (0, [])


def test_how_long_is_waited_for_by_default():
    phone, host = device(Script([{}])), device(Script([{}]), "host", here=True)
    assert CoolingSettings().most_secs(phone) == CoolingSettings(max_celsius=40.0).most_secs(host) == PHONE_SECS
    assert CoolingSettings(wait_cool=0.0, max_celsius=40.0).most_secs(phone) == 0.0


def test_a_profile_says_the_limit_unless_a_flag_does(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(f"{(PROFILE_DIR / 'mali-g76.toml').read_text()}\nmax_celsius = 38\n")
    session = device(Script([hot(39.0), hot(37.0)]), str(path))
    assert Cooler(session, CoolingSettings(), stop=NoTime()).most_celsius == 38
    assert Cooler(session, CoolingSettings(max_celsius=60.0), stop=NoTime()).most_celsius == 60


@pytest.mark.parametrize("values", [{"max_celsius": 0.0}, {"wait_cool": -1.0}, {"wait_cool": float("nan")}])
def test_settings_that_make_no_sense_are_refused(values):
    with pytest.raises(UsageError, match=r"--max-celsius|--wait-cool"):
        CoolingSettings(**values)
