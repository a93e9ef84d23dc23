"""The first and the last of a sustained run: windows, medians, what is said, and what the report shows."""

from pathlib import Path

import pytest

from fleetpose.errors import UsageError
from latency.optimize.request import Request
from latency.profiling.sustained import SustainedRound, sustained_text, windows_of


def rounds(secs, hot_after, every=0.5):
    """A dense network of 20 ms, twice as long once it is hot, and a sparse one of 10 ms, half as long again then."""
    times = [every * number for number in range(int(secs / every) + 1)]
    return [
        SustainedRound(at, 0.02 * (2 if at > hot_after else 1), 0.01 * (1.5 if at > hot_after else 1)) for at in times
    ]


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
    single = windows_of([SustainedRound(0.0, 0.02, 0.01)])
    assert single["first"]["rounds"] == single["last"]["rounds"] == 1


def test_what_is_said():
    text = sustained_text(facts(throttled=True))
    assert "after 10 minutes without a pause sparse takes 15 ms (10 at first)" in text
    assert "2.00 times as long as at first; the device holds itself back" in text
    assert "no longer than at first" in sustained_text(facts(hot_after=1e9))


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"frontier": (1.5, 2.0), "sustained": 1.0}, "--sustained runs one plan"), ({"sustained": 0.0}, "--sustained")],
)
def test_what_cannot_be_sustained(flags, message):
    with pytest.raises(UsageError, match=message):
        Request("lwop", Path("out"), **flags).check()
