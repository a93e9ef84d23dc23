"""Probabilities that one way to compute a layer is faster than another, and whether they come true as often as said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from latency.cost_model.intervals.pair_spread import (
    NEAR,
    PairSpread,
    PredictedKernel,
    fastest_kernel,
    probability_faster,
)
from latency.cost_model.predictor import Prediction
from latency.dataset.sample import Sample

#: bounds of the bins that probabilities of what is likelier are put into
BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Judged:
    """Samples with what was predicted of them by predictors that had not seen them.

    Attributes:
        samples: with measured times.
        predictions: one for each.
        spreads: of ratios of the predictor that predicted each; None: what two intervals say.
        groups: the group of each sample, for the bootstrap.
    """

    samples: tuple[Sample, ...]
    predictions: tuple[Prediction, ...]
    spreads: tuple[PairSpread | None, ...]
    groups: tuple[str, ...]

    def odds(self, row: int, other: int) -> float:
        """Probability that a row is faster than another one of the same layer."""
        return probability_faster(self.spreads[row], self._kernel(row), self._kernel(other))

    def fastest(self, rows: Sequence[int]) -> tuple[int, float | None]:
        """Which of several rows of a layer is likeliest to be the fastest; see `fastest_kernel`."""
        best, odds = fastest_kernel(self.spreads[rows[0]], [self._kernel(row) for row in rows])
        return rows[best], odds

    def _kernel(self, row: int) -> PredictedKernel:
        prediction = self.predictions[row]
        return PredictedKernel(self.samples[row], prediction, prediction.outside)

    def independent_odds(self, row: int, other: int) -> float:
        """The same by both intervals, whose errors are taken as independent."""
        return self.predictions[row].probability_faster(self.predictions[other])

    def in_doubt(self, *rows: int) -> bool:
        """Whether what was fitted on says nothing of one of the rows."""
        return any(self.predictions[row].outside > NEAR for row in rows)


def calibration(odds: np.ndarray, happened: np.ndarray) -> dict[str, Any]:
    """How probabilities (n) compare with what happened (n, truths); of what is likelier in each case.

    Returns:
        brier: mean squared difference of probability and truth (Brier 1950), 0.25 where nothing is known; mean: of the
        likelier's probabilities; right: share of cases in which the likelier happened; bins: "from" and "to" of the
        likelier's probability, "n", "mean" and "right" of the cases in it.
    """
    likelier, right = np.maximum(odds, 1 - odds), np.where(odds >= 0.5, happened, ~happened)
    bins = []
    for low, high in pairwise(BINS):
        inside = (likelier >= low) & ((likelier < high) | (high == BINS[-1]))
        if inside.any():
            means = {"mean": float(likelier[inside].mean()), "right": float(right[inside].mean())}
            bins.append({"from": low, "to": high, "n": int(inside.sum()), **means})
    return {
        "brier": float(((odds - happened) ** 2).mean()),
        "mean": float(likelier.mean()),
        "right": float(right.mean()),
        "bins": bins,
    }
