"""The ratio of two dense kernels learnt itself: against a known law, beside predictions that err, and in files."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fleetpose.codec import decode, encode
from fleetpose.errors import DataError
from latency.cost_model.intervals.pair_spread import (
    NEAR,
    PairSpread,
    PredictedKernel,
    fastest_kernel,
    probability_faster,
)
from latency.cost_model.kernel_ratio import LEAST_LAYERS, KernelRatio
from latency.dataset.sample import Sample
from models.plans.log_spread import LogSpread
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import TimeEstimate
from tests.pure.made_up_devices import device, layers

CLASSES = ("direct", "winograd4")
#: what a predictor's times are off by, each by itself
ERROR = 0.5


def law(sample: Sample) -> float:
    """log(direct / Winograd): it gains by channels and pixels, and less by filters where there are many channels."""
    (channels, *_), (filters, height, _) = sample.layer.in_shapes[0], sample.layer.out_shape
    c, f, p = math.log(channels / 100), math.log(filters / 100), math.log(height / 30)
    return 0.1 + 0.5 * c + 0.3 * p - 0.2 * c * f


def both_kernels(count: int, seed: int = 0) -> list[Sample]:
    """Every layer by both classes, by the law."""
    rows = []
    for dense in device("made up", layers(count, seed), noise=0.0):
        for kernel, ms in zip(CLASSES, (dense.ms, dense.ms * math.exp(-law(dense))), strict=True):
            rows.append(replace(dense, kernel=kernel, ms=ms, _keys={}))
    return rows


def noisy(samples, seed: int = 1) -> np.ndarray:
    return np.array([row.ms for row in samples]) * np.exp(np.random.default_rng(seed).normal(0, ERROR, len(samples)))


@pytest.fixture(scope="module")
def spreads() -> PairSpread:
    samples = both_kernels(80)
    return PairSpread.fit(samples, noisy(samples))


def kernels_of(samples, times) -> list[tuple[PredictedKernel, PredictedKernel]]:
    predicted = [PredictedKernel(row, TimeEstimate(ms, ms / 2, ms * 2)) for row, ms in zip(samples, times, strict=True)]
    return list(zip(predicted[::2], predicted[1::2], strict=True))


def test_ratio_follows_the_law_on_layers_it_has_not_seen(spreads):
    (ratio,) = spreads.ratios
    assert ratio.classes == CLASSES
    fresh = both_kernels(60, seed=9)[::2]
    errors = ratio.predict(fresh) - np.array([law(sample) for sample in fresh])
    assert np.sqrt(np.mean(errors**2)) < 0.1
    assert np.mean(np.abs(errors) <= 2 * ratio.spread.half_width) > 0.9


def test_the_faster_kernel_is_taken_where_predictions_err(spreads):
    fresh = both_kernels(100, seed=9)
    times = noisy(fresh, seed=2)
    pairs = kernels_of(fresh, times)
    right = [fastest_kernel(spreads, pair)[0] == int(pair[1].sample.ms < pair[0].sample.ms) for pair in pairs]
    by_times = [(b.time.ms < a.time.ms) == (b.sample.ms < a.sample.ms) for a, b in pairs]
    assert np.mean(right) > 0.9 > np.mean(by_times)


def test_probabilities_of_both_ways_add_up_to_one(spreads):
    for one, other in kernels_of(fresh := both_kernels(20, seed=3), noisy(fresh)):
        odds = probability_faster(spreads, one, other)
        assert odds + probability_faster(spreads, other, one) == pytest.approx(1)
        best, likely = fastest_kernel(spreads, (one, other))
        assert likely == pytest.approx(max(odds, 1 - odds))
        assert best == int(odds < 0.5)


def test_outside_of_what_was_fitted_on_a_ratio_is_less_sure_and_far_outside_it_says_nothing(spreads):
    one, other = kernels_of(fresh := both_kernels(1, seed=4), noisy(fresh))[0]
    inside = abs(spreads.probability_faster(one, other) - 0.5)
    near = abs(spreads.probability_faster(one._replace(outside=0.1), other) - 0.5)
    assert 0 < near < inside
    assert spreads.probability_faster(one._replace(outside=NEAR + 1), other) == 0.5


def test_a_single_kernel_is_the_fastest_and_intervals_decide_where_there_are_no_pairs():
    one, other = kernels_of(both_kernels(1), (1.0, 2.0))[0]
    assert fastest_kernel(None, [one]) == (0, None)
    best, likely = fastest_kernel(None, [other, one])
    assert (best, likely) == (1, one.time.probability_faster(other.time))


def test_ratios_are_learnt_of_enough_dense_layers_only():
    few = both_kernels(LEAST_LAYERS - 1)
    assert PairSpread.fit(few, noisy(few)).ratios == ()
    sparse = [replace(row, sparsity=Sparsity("columns", 0.5, (4, 1)), _keys={}) if row.kernel == "winograd4" else row
              for row in both_kernels(LEAST_LAYERS)]  # fmt: skip
    assert PairSpread.fit(sparse, noisy(sparse)).ratios == ()


def test_a_type_that_was_never_timed_has_no_part_in_the_ratio(spreads):
    (ratio,), sample = spreads.ratios, both_kernels(1, seed=5)[0]
    assert ratio.predict([replace(sample, dtype="float16", _keys={})]) == pytest.approx(ratio.predict([sample]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda part: part["coefficients"].pop(), "27 coefficients"),
        (lambda part: part.update(intercept=1e5), "27 coefficients"),
        (lambda part: part.update(low=9.0), "range"),
        (lambda part: part["spread"].update(scale=-1.0), "spread"),
        (lambda part: part["classes"].pop(), "classes"),
    ],
)
def test_ratio_is_read_as_it_was_written_and_refused_where_it_is_damaged(spreads, change, message):
    part = json.loads(json.dumps(encode(spreads.ratios[0])))
    assert decode(KernelRatio, part, "ratio") == spreads.ratios[0]
    change(part)
    with pytest.raises(DataError, match=message):
        decode(KernelRatio, part, "ratio")


def test_spread_without_ratios_is_read():
    part = encode(PairSpread(4.0, {"": 0.1}, 50))
    del part["ratios"]
    assert decode(PairSpread, part, "pair_spread") == PairSpread(4.0, {"": 0.1}, 50)
    assert PairSpread(4.0, {"": 0.1}, 50).of("a", "b") == LogSpread(0.1, 4.0)
