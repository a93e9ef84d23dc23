"""Which runs are worth their time first."""

import math

import pytest

from latency.profiling.active import expected_loss, sigma, worth
from models.plans.time_estimate import TimeEstimate


def estimate(ms: float, spread: float = 1.1) -> TimeEstimate:
    return TimeEstimate(ms, ms / spread, ms * spread)


def test_an_open_decision_is_worth_most():
    dense = estimate(1.0)
    values = [worth([dense, estimate(ms)]) for ms in (1.0, 1.05, 1.2, 3.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 2 * values[-1]


def test_of_settled_ones_the_widest_comes_first():
    assert worth([estimate(1.0), estimate(0.1, 1.5)]) > worth([estimate(1.0), estimate(0.1, 1.1)])
    assert worth([estimate(1.0, 1.5)]) > worth([estimate(1.0, 1.2)])


@pytest.mark.parametrize("ratio", [1.0, 1.03, 0.9, 1.5])
def test_the_expected_loss_is_that_of_drawn_ratios(ratio):
    import numpy as np

    dense, sparse = estimate(2.0, 1.2), estimate(2.0 * ratio, 1.1)
    deviation = math.hypot(sigma(dense), sigma(sparse))
    drawn = math.log(ratio) + deviation * np.random.default_rng(0).standard_normal(400_000)
    chosen = drawn if ratio < 1 else 0 * drawn
    lost = (chosen - np.minimum(drawn, 0)).mean()
    assert expected_loss(dense, sparse) == pytest.approx(lost, rel=0.03, abs=2e-5)


def test_what_is_certain_loses_nothing():
    assert expected_loss(estimate(1.0, 1.0), estimate(1.1, 1.0)) == 0.0
