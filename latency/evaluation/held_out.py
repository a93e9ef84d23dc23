"""Evaluating on held-out shapes, networks or families: the model beside what a user could do without it.

Every fold is fitted anew, settings and intervals included, on its training side alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.cost_model.intervals.pair_spread import PairSpread
from latency.cost_model.metrics import bootstrap, scores
from latency.cost_model.model import measured_ms
from latency.cost_model.predictor import Prediction, Predictor
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample, merge
from latency.dataset.split import Fold, folds, groups_of
from latency.evaluation.baselines import BASELINES
from latency.evaluation.decision_accuracy import decisions
from latency.evaluation.kernel_choice import kernel_choices
from latency.evaluation.odds import Judged

#: rows listed as the worst
WORST = 10


@dataclass(frozen=True)
class HeldOut(Judged):
    """Held-out samples with what was predicted for them.

    Attributes:
        baselines: milliseconds by the name of the baseline; {} where there was nothing to fit them on.
    """

    baselines: dict[str, np.ndarray]


def cross_validate(
    samples: Sequence[Sample],
    hardware: Hardware,
    by: str,
    count: int,
    options: FitOptions,
    bases: Sequence[Predictor] = (),
    train_size: int | None = None,
    repeats: int = 1,
) -> HeldOut:
    """Fit and predict every fold.

    Args:
        by, count: the split, and how many folds.
        train_size: fit on so many shapes of each training side, drawn at random (default: all).
        repeats: such drawings for each fold.

    Raises:
        UsageError: too few groups or samples.
    """
    held: list[Sample] = []
    predictions: list[Prediction] = []
    spreads: list[PairSpread | None] = []
    baselines: dict[str, list[np.ndarray]] = {name: [] for name in BASELINES}
    for number, part in enumerate(folds(samples, by, count, options.seed)):
        for repeat in range(repeats if train_size else 1):
            train = part.train if train_size is None else draw(part, train_size, options.seed + 1000 * repeat + number)
            inner = replace(options, by="shape" if train_size else by)
            predictor = fit_predictor(train, hardware, inner, bases).predictor
            held += part.test
            predictions += predictor.predict(part.test)
            spreads += [predictor.pair_spread] * len(part.test)
            for name, baseline in BASELINES.items():
                baselines[name].append(baseline(train, part.test, hardware))
    stacked = {name: np.concatenate(pieces) for name, pieces in baselines.items()}
    groups = tuple(_group(sample, by) for sample in held)
    return HeldOut(tuple(held), tuple(predictions), tuple(spreads), groups, stacked)


def draw(part: Fold, size: int, seed: int) -> tuple[Sample, ...]:
    """The training samples of `size` shapes drawn at random. Raises UsageError where there are not so many."""
    shapes = sorted({sample.shape_key for sample in part.train})
    if size > len(shapes):
        raise UsageError(f"--train-size {size}: a fold has {len(shapes)} shapes to train on")
    kept = set(np.random.default_rng(seed).choice(shapes, size, replace=False))
    return tuple(sample for sample in part.train if sample.shape_key in kept)


def judge(samples: Sequence[Sample], predictor: Predictor, by: str) -> HeldOut:
    """What a saved predictor says of samples whose shapes it was not fitted on.

    Raises:
        UsageError: it was fitted on all of them.
    """
    fresh = [sample for sample in merge(samples) if sample.shape_key not in predictor.shapes]
    if not fresh:
        raise UsageError("the predictor was fitted on every shape of the data, so that nothing is left to judge it by")
    spreads, groups = (predictor.pair_spread,) * len(fresh), tuple(_group(sample, by) for sample in fresh)
    return HeldOut(tuple(fresh), tuple(predictor.predict(fresh)), spreads, groups, {})


def _group(sample: Sample, by: str) -> str:
    """The group to resample by: one of the sample's, or its shape where it has none."""
    return (*groups_of(sample, by), sample.shape_key)[0]


def report(held: HeldOut, seed: int = 0) -> dict[str, Any]:
    """The figures of `latency.evaluate` as one JSON object: errors and shares are fractions."""
    times = measured_ms(held.samples)
    predicted = np.array([prediction.ms for prediction in held.predictions])
    low, high = (np.array([getattr(prediction, name) for prediction in held.predictions]) for name in ("low", "high"))
    covered = ((low <= times) & (times <= high)).astype(float)
    error = np.abs(predicted / times - 1)
    means = {
        "mape": error,
        "within_5": (error <= 0.05).astype(float),
        "within_10": (error <= 0.10).astype(float),
        "interval_coverage": covered,
    }
    return {
        **scores(times, predicted),
        "interval_coverage": float(covered.mean()),
        "n": len(times),
        "baselines": {
            name: float(np.abs(held.baselines[name] / times - 1).mean()) if name in held.baselines else None
            for name in BASELINES
        },
        "decision": decisions(held, seed),
        "kernels": kernel_choices(held, seed),
        "intervals": bootstrap(means, held.groups, seed),
        "worst": [_row(held, int(row), predicted) for row in np.argsort(-error, kind="stable")[:WORST]],
    }


def _row(held: HeldOut, row: int, predicted: np.ndarray) -> dict[str, Any]:
    sample, prediction = held.samples[row], held.predictions[row]
    assert sample.ms is not None
    return {
        "sample": sample.label,
        "group": held.groups[row],
        "measured_ms": sample.ms,
        "predicted_ms": prediction.ms,
        "error": float(predicted[row] / sample.ms - 1),
        "spread": sample.spread,
        "doubts": list(prediction.doubts),
    }
