"""What the ratio of two predictions of one layer is off by, from the errors on layers that were held out.

Whether zeros pay, or Winograd, hangs on a ratio. Two predictions of one layer err alike in part, which only pairs of
errors show; and what is left has heavy tails, which an interval does not say. Student's t is fitted to the held-out
errors of log ratios: one number of degrees of freedom for all, and a scale for each kind of pair, drawn towards that of
all pairs where few layers have it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from latency.cost_model.kernel_ratio import LEAST_LAYERS, KernelRatio, takes
from latency.dataset.pairs import KernelPair, kernel_pairs, measured
from latency.dataset.sample import Sample
from models.plans.log_spread import LogSpread
from models.plans.time_estimate import TimeEstimate

#: layers with which all pairs' scale counts in that of a kind
PRIOR_LAYERS = 20
#: fewer pairs than this say nothing of their spread
LEAST_PAIRS = 20
#: no kind of pair is better known than this log error
LEAST_SCALE = 0.005
#: errors of pairs whose inputs lie outside what was fitted on, up to NEAR in logarithms, over those of others: 1.8 to
#: 2.4 times in three sets of records
OUTSIDE, NEAR = 2.0, math.log(2)
#: parts that shapes are held out in to find the errors of a ratio
FOLDS = 10
#: degrees of freedom that are tried
FREEDOMS = (3.0, 4.0, 6.0, 10.0, 30.0)


@dataclass(frozen=True)
class PairSpread:
    """Spreads of the errors of predicted log ratios.

    Attributes:
        freedom: degrees of freedom of Student's t.
        scales: of it, by kind of pair; "" is of all.
        pairs: that it was fitted to.
        ratios: of dense kernels whose ratio was learnt itself, which then counts in place of two predictions.
    """

    freedom: float
    scales: Mapping[str, float]
    pairs: int
    ratios: tuple[KernelRatio, ...] = ()

    def __post_init__(self) -> None:
        scales = self.scales.values()
        if (
            "" not in self.scales
            or not all(0 < scale < math.inf for scale in scales)
            or not 1 < self.freedom < math.inf
        ):
            raise ValueError(
                "its pairs have no scale above 0 of all of them, or their degrees of freedom are not above 1"
            )

    @classmethod
    def fit(cls, samples: Sequence[Sample], predicted: np.ndarray) -> PairSpread | None:
        """Fit to held-out samples with measured times, whose predictions are milliseconds (n). None: too few pairs."""
        pairs = kernel_pairs(samples)
        if len(pairs) < LEAST_PAIRS:
            return None
        errors = log_ratio_errors(samples, predicted, pairs)
        kinds = [kind_of(samples[pair.first].kernel, samples[pair.second].kernel) for pair in pairs]
        scales = _scales(np.abs(errors), kinds, [pair.layer for pair in pairs])
        spread = fit_spread(errors / np.array([scales[kind] for kind in kinds]))
        scales = {kind: spread.scale * scale for kind, scale in scales.items()}
        return cls(spread.freedom, scales, len(pairs), tuple(fit_ratios(samples, pairs)))

    def of(self, kernel: str, other: str, outside: float = 0.0) -> LogSpread:
        """The spread for two classes of kernel, in either order.

        Args:
            outside: how far the inputs lie outside those that were fitted on, as `Ranges.outside`; infinite beyond
                NEAR, where the errors that are known say nothing.
        """
        scale = self.scales.get(kind_of(kernel, other), self.scales[""])
        widened = 1.0 if outside <= 0 else OUTSIDE if outside <= NEAR else math.inf
        return LogSpread(widened * scale, self.freedom)

    def probability_faster(self, kernel: PredictedKernel, other: PredictedKernel) -> float:
        """Probability that one way to compute a layer is faster than another, by their ratio or by both predictions."""
        outside, classes = max(kernel.outside, other.outside), (kernel.sample.kernel, other.sample.kernel)
        ratio = next((ratio for ratio in self.ratios if set(ratio.classes) == set(classes)), None)
        if ratio is None or not (takes(kernel.sample) and takes(other.sample)) or outside > NEAR:
            return kernel.time.probability_faster(other.time, spread=self.of(*classes, outside))
        log = float(ratio.predict([kernel.sample])[0])
        spread = ratio.spread.scaled(OUTSIDE if outside > 0 else 1.0)
        return spread.probability_below(log if ratio.classes[1] == classes[0] else -log)


class PredictedKernel(NamedTuple):
    """One way to compute a layer with its predicted time, and how far outside of what was fitted on it lies."""

    sample: Sample
    time: TimeEstimate
    outside: float = 0.0


def probability_faster(spreads: PairSpread | None, kernel: PredictedKernel, other: PredictedKernel) -> float:
    """Probability that one way to compute a layer is faster than another; by both intervals where pairs say nothing."""
    return kernel.time.probability_faster(other.time) if spreads is None else spreads.probability_faster(kernel, other)


def fastest_kernel(spreads: PairSpread | None, kernels: Sequence[PredictedKernel]) -> tuple[int, float | None]:
    """Which of several ways to compute a layer is likeliest to be the fastest, and the least of the probabilities that
    it is faster than each other one; None of a single one."""
    best = min(range(len(kernels)), key=lambda number: kernels[number].time.ms)
    for number, kernel in enumerate(kernels):
        if number != best and probability_faster(spreads, kernel, kernels[best]) > 0.5:
            best = number
    others = [kernel for number, kernel in enumerate(kernels) if number != best]
    return best, min((probability_faster(spreads, kernels[best], other) for other in others), default=None)


def kind_of(kernel: str, other: str) -> str:
    """The kind of pair that two classes of kernel make, in either order."""
    return "/".join(sorted((kernel, other)))


def log_ratio_errors(samples: Sequence[Sample], predicted: np.ndarray, pairs: Sequence[KernelPair]) -> np.ndarray:
    """log(predicted first / predicted second) - log(measured first / measured second), of each pair (pairs)."""
    logs = np.log(predicted) - np.log([measured(sample) for sample in samples])
    return logs[[pair.first for pair in pairs]] - logs[[pair.second for pair in pairs]]


def _scales(sizes: np.ndarray, kinds: Sequence[str], layers: Sequence[int]) -> dict[str, float]:
    """The median error of each kind, drawn towards all pairs' by PRIOR_LAYERS."""
    names, numbers, overall = np.array(kinds), np.array(layers), max(LEAST_SCALE, float(np.median(sizes)))
    scales = {"": overall}
    for kind in sorted(set(kinds)):
        own, count = float(np.median(sizes[names == kind])), len(set(numbers[names == kind].tolist()))
        scales[kind] = max(LEAST_SCALE, (count * own + PRIOR_LAYERS * overall) / (count + PRIOR_LAYERS))
    return scales


def fit_spread(errors: np.ndarray) -> LogSpread:
    """Student's t about 0 of the greatest likelihood for errors (n), of FREEDOMS."""

    def loss(log_scale: float, freedom: float) -> float:
        return -float(student.logpdf(errors, freedom, scale=math.exp(log_scale)).sum())

    middle = math.log(max(LEAST_SCALE, float(np.median(np.abs(errors)))))
    bounds = (middle - 3.0, middle + 3.0)
    fits = {freedom: minimize_scalar(loss, bounds=bounds, args=(freedom,), method="bounded") for freedom in FREEDOMS}
    freedom = min(fits, key=lambda freedom: fits[freedom].fun)
    return LogSpread(math.exp(fits[freedom].x), freedom)


def fit_ratios(samples: Sequence[Sample], pairs: Sequence[KernelPair]) -> list[KernelRatio]:
    """The ratio of every two dense classes of kernel that enough layers were measured under."""
    kinds: dict[tuple[str, str], list[KernelPair]] = {}
    for pair in pairs:
        first, second = samples[pair.first], samples[pair.second]
        if takes(first) and takes(second):
            kinds.setdefault((first.kernel, second.kernel), []).append(pair)
    return [_fit_ratio(kind, samples, same) for kind, same in kinds.items() if len(same) >= LEAST_LAYERS]


def _fit_ratio(classes: tuple[str, str], samples: Sequence[Sample], pairs: Sequence[KernelPair]) -> KernelRatio:
    """Fitted to all pairs; its spread is of what forms fitted without a shape were off by on it."""
    layers = [samples[pair.first] for pair in pairs]
    ms = np.array([[measured(samples[row]) for row in (pair.first, pair.second)] for pair in pairs])
    logs, shorter = np.log(ms[:, 0] / ms[:, 1]), ms.min(1)
    shapes = {shape: number for number, shape in enumerate(sorted({layer.shape_key for layer in layers}))}
    folds = np.array([shapes[layer.shape_key] % FOLDS for layer in layers])
    errors = np.zeros(len(layers))
    for fold in np.unique(folds):
        kept, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        form = KernelRatio.fit(classes, [layers[row] for row in kept], logs[kept], shorter[kept])
        errors[held] = form.predict([layers[row] for row in held]) - logs[held]
    return replace(KernelRatio.fit(classes, layers, logs, shorter), spread=fit_spread(errors))
