"""Choices by predictions, between kernels and of zeros: accuracy, lost time, and odds that come true."""

import math
from dataclasses import replace

import numpy as np
import pytest

from latency.cost_model.intervals.pair_spread import PairSpread
from latency.cost_model.predictor import Prediction
from latency.evaluation.decision_accuracy import decisions
from latency.evaluation.kernel_choice import kernel_choices
from latency.evaluation.odds import Judged, calibration
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import CONFIDENCE
from tests.pure.made_up_devices import device, layers

FIRST, SECOND, THIRD = (replace(sample, kernel="direct", _keys={}) for sample in device("phone", layers(3)))
HALF = Sparsity("columns", 0.5, (4, 1))


def timed(sample, direct, winograd):
    return [replace(sample, kernel=kernel, ms=ms, _keys={}) for kernel, ms in
            (("direct", direct), ("winograd4", winograd)) if ms]  # fmt: skip


def pruned(sample, dense, sparse):
    return [replace(sample, ms=dense, _keys={}), replace(sample, ms=sparse, sparsity=HALF, kernel="columns", _keys={})]


def judged(samples, predicted, wide=1.05, spread=None) -> Judged:
    """Samples with predictions whose intervals reach `wide` times to either side."""
    predictions = tuple(Prediction(ms, ms / wide, ms * wide) for ms in predicted)
    groups = tuple(sample.shape_key for sample in samples)
    return Judged(tuple(samples), predictions, (spread,) * len(samples), groups)


def test_lost_time_is_that_of_the_wrong_choices():
    samples = [*timed(FIRST, 2.0, 1.0), *timed(SECOND, 3.0, 5.0), *timed(THIRD, 7.0, None)]
    right = kernel_choices(judged(samples, [2.0, 1.0, 3.0, 5.0, 7.0]))
    assert (right["accuracy"], right["lost"], right["n"]) == (1.0, 0.0, 2)
    assert right["lost_interval"] == [0.0, 0.0]
    assert right["always"] == pytest.approx({"direct": 5 / 4 - 1, "winograd4": 6 / 4 - 1})
    wrong = kernel_choices(judged(samples, [1.0, 2.0, 3.0, 5.0, 7.0]))
    assert (wrong["accuracy"], wrong["lost"]) == (0.5, pytest.approx(5 / 4 - 1))
    assert wrong["lost_interval"] == pytest.approx([0.0, 1.0]), "drawn twice, a layer alone loses nothing or all"
    assert wrong["calibration"]["right"] == 0.5
    assert wrong["calibration"]["mean"] > 0.99


def test_dtypes_are_layers_of_their_own_and_single_kernels_none():
    halves = [replace(sample, dtype="float16", _keys={}) for sample in timed(FIRST, 1.0, 2.0)]
    assert kernel_choices(judged([*timed(FIRST, 2.0, 1.0), *halves], [2.0, 1.0, 1.0, 2.0]))["n"] == 2
    single = kernel_choices(judged([FIRST, SECOND], [1.0, 1.0]))
    assert (single["accuracy"], single["lost"], single["always"], single["n"]) == (None, None, {}, 0)


def test_zeros_need_the_probability_of_their_rule():
    """Three layers whose zeros are predicted to save 1, 5 and 30 %, and do, but for the first."""
    samples = [*pruned(FIRST, 1.0, 1.1), *pruned(SECOND, 1.0, 0.95), *pruned(THIRD, 2.0, 1.4)]
    predicted = [1.0, 0.99, 1.0, 0.95, 2.0, 1.4]
    found = decisions(judged(samples, predicted, wide=1.1))
    best = 1.0 + 0.95 + 1.4
    rules = {rule["rule"]: rule for rule in found["rules"]}
    assert (rules[0.5]["in_vain"], rules[0.5]["missed"]) == (1, 0)
    assert rules[0.5]["regret"] == pytest.approx(0.1 / best)
    assert (rules[CONFIDENCE]["in_vain"], rules[CONFIDENCE]["missed"], rules[CONFIDENCE]["regret"]) == (0, 0, 0.0)
    for rule in (0.95, "intervals"):
        assert (rules[rule]["in_vain"], rules[rule]["missed"]) == (0, 1)
        assert rules[rule]["regret"] == pytest.approx(0.05 / best)
    assert (found["accuracy"], found["regret"], found["n"]) == (1.0, 0.0, 3)


def test_zeros_far_from_what_was_fitted_on_are_not_chosen():
    samples = pruned(FIRST, 1.0, 0.5)
    near = judged(samples, [1.0, 0.5], spread=PairSpread(4.0, {"": 0.05}, 100))
    assert decisions(near)["accuracy"] == 1.0
    far = replace(near, predictions=tuple(replace(one, outside=math.inf) for one in near.predictions))
    assert decisions(far)["rules"][1]["missed"] == 1
    assert decisions(judged([FIRST], [1.0]))["n"] == 0


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_calibration_sees_probabilities_that_are_too_sure(scale):
    """Truths drawn as log ratios with normal errors of 0.1; probabilities of a spread that is `scale` times as wide."""
    random = np.random.default_rng(0)
    known = random.normal(0, 0.2, 20_000)
    happened = known + random.normal(0, 0.1, len(known)) > 0
    odds = np.array([Prediction(1.0, 1.0, 1.0).probability_faster(
        Prediction(math.exp(distance), math.exp(distance - 0.1645 * scale), math.exp(distance + 0.1645 * scale))
    ) for distance in known])  # fmt: skip
    found = calibration(odds, happened)
    assert (found["mean"] > found["right"] + 0.02) == (scale < 1)
    assert (found["mean"] < found["right"] - 0.02) == (scale > 1)
    if scale == 1:
        assert all(row["mean"] == pytest.approx(row["right"], abs=0.03) for row in found["bins"])
        assert found["brier"] == pytest.approx(np.mean(odds * (1 - odds)), abs=0.005)
    assert sum(row["n"] for row in found["bins"]) == len(known)
