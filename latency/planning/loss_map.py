"""The loss map: from the divergence that a plan's layers add up to, to AP or agreement lost, with an interval.

Fitted to a few plans of the network at hand that were pruned and evaluated. The map is ceiling x (1 - exp(-(k d)^p)):
0 without zeros, never falling, and never more than there is to lose. What k and p may be is kept as weights on a grid:
how well they explain the evaluated plans, whose own errors are known, with a mild preference for p = 1. The interval
holds what an evaluation on as many photographs shows in 90 % of cases, its own chance among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

#: probability that an interval holds what is measured
COVERAGE = 0.9
#: how far the map itself is off, as a share of the ceiling, whatever the points say
MISFIT = 0.02
#: what k and p may be, and the standard deviations of log p and of log k, which few points need
RATES, POWERS = np.geomspace(1e-3, 1e3, 121), np.geomspace(0.4, 2.5, 19)
POWER_SPREAD, RATE_SPREAD = 0.35, 3.0
#: what is taken between the least and the largest loss for an interval
STEPS = 401


@dataclass(frozen=True)
class LossPoint:
    """A plan that was evaluated.

    Attributes:
        divergence: what its layers' losses add up to.
        lost: AP or agreement.
        error: standard error of that over photographs, paired with the dense network.
    """

    divergence: float
    lost: float
    error: float


@dataclass(frozen=True)
class PredictedLoss:
    """What is lost, and between which bounds an evaluation shows it in 90 % of cases."""

    lost: float
    low: float
    high: float


@dataclass(frozen=True)
class LossMap:
    """From divergence to loss.

    Attributes:
        unit: "AP" or "agreement".
        ceiling: what there is to lose: the dense network's AP, or 1.
        points: plans that were evaluated, one or more.
        photographs: on how many.
    """

    unit: str
    ceiling: float
    points: tuple[LossPoint, ...]
    photographs: int

    def predict(self, divergence: float) -> PredictedLoss:
        """What a plan of this divergence loses."""
        curves = self._curves(np.array([max(divergence, 0.0)]))[..., 0]
        spread = np.hypot(MISFIT * self.ceiling, self._error) if divergence > 0 else 0.0
        steps = np.linspace(-self.ceiling, 2 * self.ceiling, STEPS)
        near = np.rint((curves.ravel() + self.ceiling) / (steps[1] - steps[0])).astype(int)
        weights = np.bincount(near, self._weights.ravel(), STEPS)
        below = ndtr((steps[:, None] - steps) / max(spread, 1e-9)) @ weights
        low, high = (float(steps[min(int(np.searchsorted(below, tail)), STEPS - 1)]) for tail in _TAILS)
        lost = float(self.losses(np.array([max(divergence, 0.0)]))[0])
        return PredictedLoss(lost, min(low, lost), min(max(high, lost), self.ceiling))

    def losses(self, divergences: np.ndarray) -> np.ndarray:
        """What plans lose, the mean over what k and p may be."""
        return np.tensordot(self._weights, self._curves(divergences), axes=2)

    def divergence_of(self, lost: float) -> float:
        """The largest divergence that loses so much at the most."""
        scale = np.geomspace(1e-5, 1e3, 401)
        losses = self.losses(scale)
        return float(np.interp(lost, losses, scale)) if lost >= losses[0] else 0.0

    @cached_property
    def _weights(self) -> np.ndarray:
        """How likely k and p are, (rates, powers), adding up to 1."""
        centre = np.log(max(np.median([point.divergence for point in self.points]), 1e-9))
        prior = np.square((np.log(RATES) + centre) / RATE_SPREAD)[:, None] + np.square(np.log(POWERS) / POWER_SPREAD)
        curves = self._curves(np.array([point.divergence for point in self.points]))
        lost = np.array([point.lost for point in self.points])
        errors = np.hypot(MISFIT * self.ceiling, np.array([point.error for point in self.points]))
        misfit = np.square((curves - lost) / errors).sum(axis=2)
        likelihood = np.exp(-0.5 * (misfit + prior - (misfit + prior).min()))
        return likelihood / likelihood.sum()

    @cached_property
    def _error(self) -> float:
        """Of one more evaluation: the largest there was."""
        return max(point.error for point in self.points)

    def _curves(self, divergences: np.ndarray) -> np.ndarray:
        """(rates, powers, divergences)."""
        product = RATES[:, None, None] * divergences
        return self.ceiling * -np.expm1(-(product ** POWERS[None, :, None]))


_TAILS = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)


def map_of(unit: str, ceiling: float, points: Sequence[LossPoint], photographs: int) -> LossMap | None:
    """The map of evaluated plans; None where there is none, or nothing to lose."""
    known = tuple(point for point in points if point.divergence > 0)
    return LossMap(unit, ceiling, known, photographs) if known and ceiling > 0 else None
