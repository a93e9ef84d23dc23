"""A predictor of a device of which few layers, or none, were timed, made of those of other devices.

Its intervals are the correction's standard deviations times a number: what it was where each of six GPUs in turn was
the unknown one, and what the samples say of it themselves, the more of them the more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latency.cost_model.adaptation.adapted import FACTOR, KNOWN_FACTOR, Adapted, most_telling
from latency.cost_model.intervals.conformal import Conformal
from latency.cost_model.metrics import mape
from latency.cost_model.model import Inputs, measured_ms
from latency.cost_model.predictor import Predictor
from latency.cost_model.ranges import Ranges
from latency.cost_model.search import CrossValidation
from latency.cost_model.trees import TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.runtimes import Gpu
from latency.dataset.sample import Sample, merge
from latency.dataset.split import Fold, folds

#: a GPU of another maker counts for so much of one of the same
OTHER_MAKER = 0.1
#: standard deviations that held 90 % of errors where six GPUs in turn were the unknown one, and the samples that this
#: counts for
USUAL_QUANTILE, USUAL_ROWS = 2.0, 40
#: `Hardware.gflops` of a device whose peak rate is not known
UNKNOWN_RATE = Hardware().gflops
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
    return Adapted(inputs, measured_ms(rows), weights(target.gpu, bases), *speed(target, bases))


def weights(gpu: str, bases: Sequence[Predictor]) -> np.ndarray:
    """Of each other device (bases): those of the same maker count most."""
    maker = Gpu.of(gpu).kind
    own = [1.0 if Gpu.of(str(base.metadata.get("gpu", ""))).kind == maker else OTHER_MAKER for base in bases]
    return np.array(own) / sum(own)


def speed(target: NewDevice, bases: Sequence[Predictor]) -> tuple[float, float]:
    """Log of the others' peak rates over the device's, weighted as they are, and the variance of its factor about that.

    0 and FACTOR where one of the rates is not known.
    """
    rates = np.array([base.hardware.gflops for base in bases])
    if UNKNOWN_RATE in (target.hardware.gflops, *rates):
        return 0.0, FACTOR
    return float(weights(target.gpu, bases) @ np.log(rates / target.hardware.gflops)), KNOWN_FACTOR


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
    _, factor = speed(target, bases)
    chosen = most_telling(inputs, weights(target.gpu, bases), count, factor, len(timed))
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
