"""A predictor of a device of which few layers, or none, were timed, made of those of other devices.

Its intervals are the correction's standard deviations times a number: what it was where each of six GPUs in turn was
the unknown one, and what the samples say of it themselves, the more of them the more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latency.cost_model.adaptation.adapted import FACTOR, Adapted, most_telling
from latency.cost_model.adaptation.likeness import DeviceFacts, Likeness, same_maker_first
from latency.cost_model.intervals.conformal import Conformal
from latency.cost_model.metrics import mape
from latency.cost_model.model import Inputs, measured_ms
from latency.cost_model.predictor import Predictor
from latency.cost_model.ranges import Ranges
from latency.cost_model.search import CrossValidation
from latency.cost_model.trees import TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample, merge
from latency.dataset.split import Fold, folds

#: standard deviations that held 90 % of errors where six GPUs in turn were the unknown one, and the samples that this
#: counts for
USUAL_QUANTILE, USUAL_ROWS = 2.0, 40
#: more samples than this are a device's own
MOST_SAMPLES = 400
FOLDS = 5


@dataclass(frozen=True)
class NewDevice:
    """The device to be predicted.

    Attributes:
        hardware: facts about it.
        gpu: its GPU's name.
        about: metadata of the predictor.
    """

    hardware: Hardware
    gpu: str
    about: Mapping[str, Any]


def adapt(
    samples: Sequence[Sample], target: NewDevice, bases: Sequence[Predictor], level: float = 0.9, seed: int = 0
) -> tuple[Predictor, CrossValidation]:
    """A predictor from none to some hundreds of samples, and how it did on samples that it had not seen."""
    rows = merge(samples)
    model = adapted(rows, target, bases)
    held, predicted = _held_out(rows, target, bases, seed)
    scores = {"adapted": mape(measured_ms(held), predicted)} if held else {}
    validation = CrossValidation(TreeSettings(), "shape", held, predicted, scores)
    ranges = _shared_ranges(bases)
    conformal = Conformal(level, quantile(model, level), {"": 1.0}, len(rows))
    return Predictor(model, conformal, ranges, target.hardware, target.about, tuple(bases)), validation


def adapted(rows: Sequence[Sample], target: NewDevice, bases: Sequence[Predictor]) -> Adapted:
    """The model alone."""
    inputs = Inputs.of(rows, target.hardware, [base.ms for base in bases])
    like = likeness(target, bases, sampled=bool(rows))
    return Adapted(inputs, measured_ms(rows), like.weights, like.offset, like.variance)


def likeness(target: NewDevice, bases: Sequence[Predictor], sampled: bool) -> Likeness:
    """What the other devices (bases) say of a device by what is known of them all, with samples of it or without."""
    facts, others = DeviceFacts.of(target.gpu, _origin(target.about), target.hardware), [*map(_facts_of, bases)]
    if not sampled:
        return Likeness.of(facts, others)
    like = Likeness.of(facts, others, same_maker_first(facts, others))
    return replace(like, variance=min(like.variance, FACTOR))


def _facts_of(base: Predictor) -> DeviceFacts:
    return DeviceFacts.of(str(base.metadata.get("gpu", "")), _origin(base.metadata), base.hardware)


def _origin(about: Mapping[str, Any]) -> str:
    return str(about.get("origin") or about.get("framework", ""))


def quantile(model: Adapted, level: float) -> float:
    """Standard deviations that hold a share `level` of errors."""
    if not len(model.ms):
        return USUAL_QUANTILE
    apart = np.abs(model.told_apart())
    own = float(np.quantile(apart, level))
    return (USUAL_ROWS * USUAL_QUANTILE + len(apart) * own) / (USUAL_ROWS + len(apart))


def choose_samples(
    candidates: Sequence[Sample],
    count: int,
    target: NewDevice,
    bases: Sequence[Predictor],
    timed: Sequence[Sample] = (),
) -> list[int]:
    """Which `count` of the candidates to time on a new device, the most telling first, where some were timed before."""
    rows = [*timed, *candidates]
    inputs = Inputs.of(rows, target.hardware, [base.ms for base in bases])
    like = likeness(target, bases, sampled=True)
    chosen = most_telling(inputs, like.weights, count, like.variance, len(timed))
    return [row - len(timed) for row in chosen]


def _held_out(
    rows: Sequence[Sample], target: NewDevice, bases: Sequence[Predictor], seed: int
) -> tuple[tuple[Sample, ...], np.ndarray]:
    """Samples and what models that saw none of their shape predict of them; nothing where there is one shape."""
    shapes = len({row.shape_key for row in rows})
    if shapes < 2:
        return (), np.zeros(0)
    parts: list[Fold] = folds(rows, "shape", min(FOLDS, shapes), seed)
    held = tuple(sample for part in parts for sample in part.test)
    functions = [base.ms for base in bases]
    predicted = [
        adapted(part.train, target, bases).predict(Inputs.of(part.test, target.hardware, functions))
        for part in parts
        if part.test
    ]
    return held, np.concatenate(predicted)


def _shared_ranges(bases: Sequence[Predictor]) -> Ranges:
    """What every other device's predictor was fitted on."""
    shared = {
        name: (max(base.ranges.bounds[name][0] for base in bases), min(base.ranges.bounds[name][1] for base in bases))
        for name in bases[0].ranges.bounds
    }
    bounds = {name: (low, high) for name, (low, high) in shared.items() if low <= high}
    return Ranges(bounds, frozenset.intersection(*(base.ranges.kernels for base in bases)))
