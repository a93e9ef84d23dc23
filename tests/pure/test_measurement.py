"""Measurement: its summaries, its JSON, and that a failure never carries a number."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from devices.null import NullKernel
from devices.opening import open_device
from devices.timers import TimedCall, TimeSample
from devices.timing.interleaved import bootstrap_median, measure_interleaved
from devices.timing.measure import measure
from devices.timing.measurement import Measurement, faster_half, interquartile_range, median_error
from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError


@pytest.fixture
def session():
    with open_device("null") as opened:
        yield opened


def test_measurement_summarises_its_samples():
    found = Measurement(event_secs=(1.0, 3.0, 2.0), wall_secs=(2.0, 4.0, 3.0))
    assert (found.event_median_secs, found.wall_median_secs, found.event_iqr_secs) == (2.0, 3.0, 1.0)
    assert interquartile_range([5.0]) == 0.0
    assert interquartile_range([]) is None


def test_measurement_iqr_agrees_with_numpy():
    samples = list(np.random.default_rng(1).exponential(size=37))
    low, high = np.quantile(samples, [0.25, 0.75])
    assert interquartile_range(samples) == pytest.approx(high - low)


def test_measurement_json_is_read_back(session):
    for kernel in (NullKernel("a", macs=1e6), NullKernel("b", fails="out of resources")):
        found = measure(session, kernel)
        text = json.dumps(encode(found), allow_nan=False)
        assert decode(Measurement, json.loads(text)) == found


@pytest.mark.parametrize(
    "values",
    [
        {"wall_secs": [1.0], "surprise": 1},
        {"wall_secs": []},
        {"wall_secs": [1.0], "failure": "error", "error": "both"},
        {"error": "no failure named"},
    ],
)
def test_measurement_refuses_other_json(values):
    with pytest.raises(UsageError, match="not a measurement"):
        decode(Measurement, values, "not a measurement")


def test_a_failure_has_a_reason_and_no_number(session):
    found = measure(session, NullKernel("k", macs=1e9, fails="CL_OUT_OF_RESOURCES"))
    assert (found.ok, found.failure) == (False, "error")
    assert "CL_OUT_OF_RESOURCES" in found.error
    assert found.event_secs == found.wall_secs == ()
    assert found.event_median_secs is None


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, -1.0])
def test_a_sample_that_is_no_time_is_a_failure(session, monkeypatch, wrong):
    monkeypatch.setattr(NullKernel, "samples", lambda self, count, start=0: [(wrong, 1.0)] * count)
    found = measure(session, NullKernel("k"))
    assert found.failure == "nan"
    assert repr(wrong) in found.error
    assert found.wall_secs == ()


def test_the_number_of_runs_grows_until_a_sample_lasts(session):
    kernel = NullKernel("k", macs=1e7)
    found = measure(session, kernel, min_repeat_secs=0.01, repeats=3)
    assert found.number * found.wall_median_secs >= 0.01 > found.wall_median_secs
    assert measure(session, kernel, number=7).number == 7


def test_interleaved_ratio_of_known_times(session):
    calls = {
        "dense": TimedCall(NullKernel("dense", macs=4e8)),
        "sparse": TimedCall(NullKernel("sparse", macs=1e8)),
        "broken": TimedCall(NullKernel("broken", fails="build error")),
    }
    found = measure_interleaved(session, calls, rounds=9)
    expected = calls["dense"].function.event_secs() / calls["sparse"].function.event_secs()
    ratio = found.ratios["sparse"]
    assert (found.reference, found.clock) == ("dense", "event")
    assert ratio.median == pytest.approx(expected, rel=0.03)
    assert min(ratio.rounds) <= ratio.low <= ratio.median <= ratio.high <= max(ratio.rounds)
    assert len(ratio.rounds) == 9
    assert found.measurements["broken"].failure == "error"
    assert "broken" not in found.ratios
    json.dumps(encode(found), allow_nan=False)


def test_interleaved_without_a_reference_has_no_ratio(session):
    calls = {"broken": TimedCall(NullKernel("broken", fails="x")), "fine": TimedCall(NullKernel("fine"))}
    found = measure_interleaved(session, calls, rounds=2)
    assert found.measurements["fine"].ok
    assert found.ratios == {}


def test_interleaved_refuses_less_than_two_and_clocks_that_are_not_there(session):
    with pytest.raises(UsageError, match="needs two calls"):
        measure_interleaved(session, {"a": TimedCall(NullKernel("a"))})
    with pytest.raises(UsageError, match="clock 'cpu'"):
        measure_interleaved(session, {name: TimedCall(NullKernel(name)) for name in "ab"}, rounds=1, clock="cpu")


def test_the_order_is_reversed_every_other_round(session, monkeypatch):
    order = []

    def samples(self, count, start=0):
        order.append(self.key)
        return [(1.0, 1.0)] * count

    monkeypatch.setattr(NullKernel, "samples", samples)
    measure_interleaved(session, {name: TimedCall(NullKernel(name)) for name in "abc"}, rounds=2, number=1)
    assert "".join(order) == "abccba"


@pytest.mark.parametrize(
    ("scatter", "together", "rounds"), [(0.0, False, 5), (0.08, False, 15), (2.0, False, 20), (2.0, True, 5)]
)
def test_rounds_go_on_until_ratios_are_known_or_there_are_too_many(session, monkeypatch, scatter, together, rounds):
    """A median of n that are 1.0 and 1.08 in turn is known to 0.07 / sqrt(n), so that 15 do for 0.02 and 10 do not.

    What slows down both calls of a round alike leaves their ratio as it is.
    """
    taken = Counter()

    def samples(self, count, start=0):
        taken[self.key] += 1
        slowed = scatter * (taken[self.key] % 2) if together or self.key == "b" else 0.0
        return [(1.0, 1.0 + slowed)] * count

    monkeypatch.setattr(NullKernel, "samples", samples)
    calls = {name: TimedCall(NullKernel(name)) for name in "ab"}
    found = measure_interleaved(session, calls, rounds=5, number=1, warmup=0, most_rounds=20, precision=0.02)
    assert [len(each.wall_secs) for each in found.measurements.values()] == [rounds, rounds]


def test_the_error_of_a_median_is_that_of_many_repetitions():
    drawn = np.random.default_rng(3).normal(10.0, 1.0, size=(2000, 45))
    expected = np.median(drawn, axis=1).std() / 10
    assert np.median([median_error(row.tolist()) for row in drawn]) == pytest.approx(expected, rel=0.08)
    assert median_error([1.0]) == math.inf


def test_the_faster_half_leaves_delays_out():
    assert faster_half([9.0, 1.0, 2.0, 50.0, 3.0]) == 2.0
    assert faster_half([4.0]) == 4.0
    assert faster_half([]) is None


def test_the_bootstrap_covers_the_true_median_about_as_often_as_it_says():
    drawn = np.random.default_rng(3).lognormal(mean=0.0, size=(200, 25))
    intervals = [bootstrap_median(row, seed=1) for row in drawn]
    covered = np.mean([low <= 1.0 <= high for low, high in intervals])
    assert 0.88 <= covered <= 1.0
    assert bootstrap_median(drawn[0], seed=1) == intervals[0]


def test_a_sample_names_its_clocks():
    assert TimeSample(1.0, 2.0)._fields == ("event_secs", "wall_secs")
