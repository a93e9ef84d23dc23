"""The first and the last of a sustained run: windows, medians, what is said, and what the report shows."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from devices.profile import load_profile
from devices.timers import TimedCall
from devices.timing.sustained import SustainedRound, change_text, sustain, sustained_text, windows_of
from fleetpose.errors import UsageError
from fleetpose.progress import no_report
from latency.optimize.request import Request
from tests.scripted_conditions import ScriptedSession, hot


def turn(at, dense=0.02, sparse=0.01):
    return SustainedRound(at, {"dense": dense, "sparse": sparse})


def rounds(secs, hot_after, every=0.5):
    """A dense network of 20 ms, twice as long once it is hot, and a sparse one of 10 ms, half as long again then."""
    times = [every * number for number in range(int(secs / every) + 1)]
    return [turn(at, 0.02 * (2 if at > hot_after else 1), 0.01 * (1.5 if at > hot_after else 1)) for at in times]


def facts(secs=600.0, hot_after=120.0, throttled=False):
    return {"minutes": secs / 60, **windows_of(rounds(secs, hot_after)), "throttled": throttled}


def test_the_first_and_the_last_minute_of_ten():
    found = facts()
    assert (found["first"]["until_secs"], found["last"]["from_secs"]) == (60.0, 540.0)
    assert (found["first"]["dense_ms"], found["last"]["dense_ms"]) == pytest.approx((20, 40))
    assert (found["first"]["sparse_ms"], found["last"]["sparse_ms"]) == pytest.approx((10, 15))
    assert (found["first"]["speedup"], found["last"]["speedup"]) == pytest.approx((2, 40 / 15))
    assert found["slower"] == pytest.approx({"dense": 2.0, "sparse": 1.5})
    assert found["first"]["rounds"] == found["last"]["rounds"] == 121


def test_windows_of_a_short_run_are_a_tenth_and_never_empty():
    found = windows_of(rounds(20, 10))
    assert (found["first"]["until_secs"], found["last"]["from_secs"]) == pytest.approx((2, 18))
    single = windows_of([turn(0.0)])
    assert single["first"]["rounds"] == single["last"]["rounds"] == 1


def test_what_is_said():
    text = sustained_text(facts(throttled=True))
    assert (
        "after 10 minutes without a pause sparse takes 15 ms (10 at first), 2.67 times as fast as dense (2.00)" in text
    )
    assert text.endswith("; 1.50 times as long as at first (1.500 to 1.500 times); the device slows itself down")
    assert "no longer than at first (1.000 to 1.000 times)" in sustained_text(facts(hot_after=1e9))


def scattered(ratio, spread, seed=1):
    """A network whose times scatter, for ten minutes; in the last of them it takes `ratio` times as long."""
    rng = np.random.default_rng(seed)
    times = np.arange(0, 601)
    secs = 0.01 * rng.lognormal(0, spread, len(times)) * np.where(times >= 540, ratio, 1)
    return windows_of([SustainedRound(float(at), {"network": value}) for at, value in zip(times, secs, strict=True)])


@pytest.mark.parametrize(
    ("ratio", "spread", "slower"),
    [(1.0, 0.05, False), (1.1, 0.02, True), (1.1, 0.6, False), (1.04, 0.005, True), (1.015, 0.001, False),
     (0.8, 0.02, False)],
)  # fmt: skip
def test_slower_is_what_the_scatter_does_not_explain(ratio, spread, slower):
    windows = scattered(ratio, spread)
    low, high = windows["slower_interval"]["network"]
    assert low <= windows["slower"]["network"] <= high
    assert ("times as long as at first" in change_text(windows, "network")) == slower


def test_intervals_hold_the_ratio_about_as_often_as_they_say():
    held = [scattered(1.1, 0.05, seed)["slower_interval"]["network"] for seed in range(30)]
    assert 25 <= sum(low <= 1.1 <= high for low, high in held) <= 30


def test_slow_spells_of_seconds_are_not_taken_for_independent_rounds():
    """Six rounds in a row are slow or fast together: that leaves more doubt than the same times in any order."""
    rng = np.random.default_rng(3)
    spells = np.repeat(rng.lognormal(0, 0.2, 101), 6)[:601]
    shuffled = rng.permutation(spells)
    widths = []
    for secs in (spells, shuffled):
        windows = windows_of([SustainedRound(float(at), {"network": value}) for at, value in enumerate(secs)])
        widths.append(float(np.ptp(windows["slower_interval"]["network"])))
    assert widths[0] > 1.3 * widths[1] > 0


def test_too_few_rounds_tell_nothing():
    windows = windows_of([turn(float(at)) for at in range(40)])
    assert windows["slower_interval"] == {"dense": None, "sparse": None}
    assert "of too few runs to tell" in change_text(windows, "sparse")


def test_results_of_an_earlier_version_are_said_too():
    old = facts()
    del old["slower_interval"]
    assert "1.50 times as long as at first, of too few runs to tell" in sustained_text(old)


class Clock:
    """A device on which an inference takes a second, in whose first minute it grows hot and slows itself down."""

    def __init__(self):
        self.now = 1000.0

    def conditions(self):
        return hot(41.0 + (self.now - 1000) / 10, **({"gpu": 1} if self.now > 1030 else {}))

    def sleep(self):
        self.now += 1.0


def test_conditions_are_kept_at_the_end_of_the_first_minute():
    clock = Clock()
    known = SimpleNamespace(
        spec="rpc:phone", profile=load_profile("host"), on_this_machine=True, guard=lambda doing: nullcontext()
    )
    session = ScriptedSession(clock.conditions, known)
    session.timer = lambda call: SimpleNamespace(
        warm=lambda runs: None, samples=lambda number, repeats: [call.function() or SimpleNamespace(wall_secs=1.0)]
    )
    found = sustain(session, {"network": TimedCall(clock.sleep)}, 10, no_report, now=lambda: clock.now)
    assert [found[name]["temperatures_celsius"]["thermal_zone1:gpuss-0"] for name in
            ("conditions", "conditions_first", "conditions_last")] == pytest.approx([41.0, 47.1, 101.0])  # fmt: skip
    assert found["throttled"]
    assert found["rounds"] == 600
    assert "; 41.0 °C before, 47.1 °C at first, 101.0 °C at last; the device slows itself down" in sustained_text(found)


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"frontier": (1.5, 2.0), "sustained": 1.0}, "--sustained runs one plan"), ({"sustained": 0.0}, "--sustained")],
)
def test_what_cannot_be_sustained(flags, message):
    with pytest.raises(UsageError, match=message):
        Request("lwop", Path("out"), **flags).check()
