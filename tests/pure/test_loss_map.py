"""The map from divergence to loss: what it was fitted to, its shape, its interval and its inverse."""

import numpy as np
import pytest

from latency.planning.loss_map import LossMap, LossPoint, map_of


def points(rate: float, power: float, ceiling: float, error: float = 0.003, at=(0.1, 0.3, 0.9), noise=0.0):
    random = np.random.default_rng(0)
    return tuple(
        LossPoint(d, ceiling * (1 - np.exp(-((rate * d) ** power))) + noise * random.standard_normal(), error)
        for d in at
    )


@pytest.mark.parametrize(("rate", "power"), [(0.5, 1.0), (1.5, 1.0), (0.8, 1.5)])
def test_map_tells_losses_between_the_points_it_was_fitted_to(rate, power):
    known = LossMap("AP", 0.46, points(rate, power, 0.46), 32)
    for divergence in (0.15, 0.5, 0.8):
        truth = 0.46 * (1 - np.exp(-((rate * divergence) ** power)))
        assert known.predict(divergence).lost == pytest.approx(truth, abs=0.012)


def test_map_rises_from_nothing_to_the_ceiling():
    known = LossMap("AP", 0.46, points(1.0, 1.0, 0.46), 32)
    losses = known.losses(np.array([0.0, 0.01, 0.1, 1.0, 10.0, 1000.0]))
    assert losses[0] == 0
    assert np.all(np.diff(losses) > 0)
    assert losses[-1] <= 0.46
    assert losses[-1] == pytest.approx(0.46, rel=0.02)


def test_interval_is_wider_with_fewer_points_and_with_larger_errors():
    def width(*given: LossPoint) -> float:
        predicted = LossMap("AP", 0.46, given, 32).predict(0.5)
        assert predicted.low <= predicted.lost <= predicted.high
        return predicted.high - predicted.low

    one = points(1.0, 1.0, 0.46, at=(0.1,))
    assert width(*one) > width(*points(1.0, 1.0, 0.46))
    assert width(*points(1.0, 1.0, 0.46, error=0.03)) > width(*points(1.0, 1.0, 0.46))


def test_interval_holds_what_another_evaluation_shows_in_nine_of_ten_cases():
    random, held, cases = np.random.default_rng(1), 0, 100
    for _ in range(cases):
        rate, power, error = np.exp(random.normal(0, 0.7)), np.exp(random.normal(0, 0.2)), 0.012

        def lost(d, rate=rate, power=power, error=error):
            return 0.46 * (1 - np.exp(-((rate * d) ** power))) + error * random.standard_normal()

        known = LossMap("AP", 0.46, tuple(LossPoint(d, lost(d), error) for d in (0.1, 0.2, 0.4)), 32)
        predicted = known.predict(0.3)
        held += predicted.low <= lost(0.3) <= predicted.high
    assert 0.85 * cases <= held


def test_divergence_of_a_loss_is_the_inverse():
    known = LossMap("agreement", 1.0, points(0.8, 1.0, 1.0), 24)
    assert known.predict(known.divergence_of(0.05)).lost == pytest.approx(0.05, rel=0.03)
    assert known.divergence_of(0.0) == 0


def test_no_map_of_nothing():
    assert map_of("AP", 0.0, points(1, 1, 0.4), 8) is None
    assert map_of("AP", 0.4, (), 8) is None
    assert map_of("AP", 0.4, (LossPoint(0.0, 0.0, 0.0),), 8) is None
