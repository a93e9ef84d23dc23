"""Calls timed over several loadings: samples pooled, intervals that hold what another loading would give."""

import numpy as np
import pytest

from devices import open_device
from devices.timers import TimedCall
from devices.timing import interleaved
from devices.timing.interleaved import bootstrap_median, measure_reloaded, pool_ratios


@pytest.fixture
def session():
    with open_device("null") as opened:
        yield opened


def calls(session) -> dict[str, TimedCall]:
    return {name: TimedCall(session.kernel(name, macs)) for name, macs in (("dense", 4e8), ("sparse", 2e8))}


def test_samples_of_all_loadings_are_pooled(session):
    loaded = []

    def load():
        loaded.append(calls(session))
        return loaded[-1]

    result = measure_reloaded(session, load, 3, 10, clock="wall")
    assert len(loaded) == 3
    assert [len(measurement.wall_secs) for measurement in result.measurements.values()] == [10, 10]
    assert len(result.ratios["sparse"].rounds) == 10
    assert result.ratios["sparse"].low <= result.ratios["sparse"].median <= result.ratios["sparse"].high


def test_there_are_no_more_loadings_than_rounds(session):
    loaded = []
    result = measure_reloaded(session, lambda: loaded.append(0) or calls(session), 3, 2, clock="wall")
    assert len(loaded) == 2
    assert len(result.ratios["sparse"].rounds) == 2


def test_failure_ends_the_loadings(session, monkeypatch):
    def broken(*args, **options):
        return real(session, {**calls(session), "sparse": TimedCall(lambda: 1 / 0)}, 2, clock="wall")

    real = interleaved.measure_interleaved
    monkeypatch.setattr(interleaved, "measure_interleaved", broken)
    result = measure_reloaded(session, lambda: calls(session), 3, 9, clock="wall")
    assert not result.measurements["sparse"].ok
    assert "sparse" not in result.ratios


@pytest.mark.slow
def test_intervals_of_pooled_ratios_hold_what_other_loadings_give():
    """Loadings differ by 3 %, rounds of one by 1 %: rounds alone give intervals that miss another measurement."""
    rng = np.random.default_rng(0)

    def parts():
        return [1.3 * np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.01, 10)) for _ in range(3)]

    pooled, plain = [], []
    for seed in range(60):
        first = parts()
        ratio = pool_ratios(first, seed)
        pooled.append(ratio.low <= 1.3 <= ratio.high)
        low, high = bootstrap_median(np.concatenate(first), seed)
        plain.append(low <= 1.3 <= high)
    assert np.mean(pooled) > np.mean(plain) + 0.1
    assert np.mean(pooled) > 0.6
