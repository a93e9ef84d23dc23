"""What the ratio of two predictions of one layer is off by, from the errors on layers that were held out.

Whether zeros pay, or Winograd, hangs on a ratio. Two predictions of one layer err alike in part, which only pairs of
errors show; and what is left has heavy tails, which an interval does not say. Student's t is fitted to the held-out
errors of log ratios: one number of degrees of freedom for all, and a scale for each kind of pair, drawn towards that of
all pairs where few layers have it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from latency.dataset.pairs import KernelPair, kernel_pairs, measured
from latency.dataset.sample import Sample
from models.plans.log_spread import LogSpread

#: layers with which all pairs' scale counts in that of a kind
PRIOR_LAYERS = 20
#: fewer pairs than this say nothing of their spread
LEAST_PAIRS = 20
#: no kind of pair is better known than this log error
LEAST_SCALE = 0.005
#: errors of pairs whose inputs lie outside what was fitted on, up to NEAR in logarithms, over those of others: 1.6 to
#: 2.4 times in three sets of records
OUTSIDE, NEAR = 2.0, math.log(2)
#: degrees of freedom that are tried
FREEDOMS = (3.0, 4.0, 6.0, 10.0, 30.0)


@dataclass(frozen=True)
class PairSpread:
    """Spreads of the errors of predicted log ratios.

    Attributes:
        freedom: degrees of freedom of Student's t.
        scales: of it, by kind of pair; "" is of all.
        pairs: that it was fitted to.
    """

    freedom: float
    scales: Mapping[str, float]
    pairs: int

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
        scaled = errors / np.array([scales[kind] for kind in kinds])
        fits = {freedom: _factor(scaled, freedom) for freedom in FREEDOMS}
        freedom = min(fits, key=lambda freedom: fits[freedom][1])
        factor = fits[freedom][0]
        return cls(freedom, {kind: factor * scale for kind, scale in scales.items()}, len(pairs))

    def of(self, kernel: str, other: str, outside: float = 0.0) -> LogSpread:
        """The spread for two classes of kernel, in either order.

        Args:
            outside: how far the inputs lie outside those that were fitted on, as `Ranges.outside`; infinite beyond
                NEAR, where the errors that are known say nothing.
        """
        scale = self.scales.get(kind_of(kernel, other), self.scales[""])
        widened = 1.0 if outside <= 0 else OUTSIDE if outside <= NEAR else math.inf
        return LogSpread(widened * scale, self.freedom)


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


def _factor(scaled: np.ndarray, freedom: float) -> tuple[float, float]:
    """What scales are to be multiplied by for the greatest likelihood of the errors, and its negative logarithm."""

    def loss(log_factor: float) -> float:
        return -float(student.logpdf(scaled, freedom, scale=math.exp(log_factor)).sum())

    likeliest = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return math.exp(likeliest.x), float(likeliest.fun)
