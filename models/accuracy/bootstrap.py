"""How sure an AP is, and a difference of two: photographs drawn again and again, with replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from models.accuracy.matches import Ranking
from models.accuracy.oks import Evaluation


def bootstrap_ap(
    evaluation: Evaluation,
    baseline: Evaluation | None = None,
    samples: int = 1000,
    coverage: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval, over photographs, of AP; or of the AP gained over `baseline`, paired.

    Paired means that each draw takes the same photographs of both, so that what makes a photograph hard cancels.

    Raises:
        UsageError: the two evaluations are of different photographs, or no annotated person counts.
    """
    interval = draw_ap(evaluation, baseline, samples, coverage, seed)
    if interval is None:
        raise UsageError("no annotated person counts, so no AP can be drawn; give photographs with people")
    return interval.low, interval.high


@dataclass(frozen=True)
class ApInterval:
    """Of drawn APs, or differences of APs.

    Attributes:
        low, high: percentiles.
        error: their standard deviation, the standard error of the AP or the difference.
    """

    low: float
    high: float
    error: float

    def to_list(self) -> list[float]:
        """JSON-ready: low and high."""
        return [self.low, self.high]


#: standard errors that a true difference must have to be seen (its 95 % interval excludes 0) in four cases of five:
#: the normal distribution's quantiles at 0.975 and at 0.8
SEEN = 1.96 + 0.84


def draw_ap(
    evaluation: Evaluation,
    baseline: Evaluation | None = None,
    samples: int = 1000,
    coverage: float = 0.95,
    seed: int = 0,
    size: str | None = None,
) -> ApInterval | None:
    """As `bootstrap_ap`, with the standard error, and for people of one of `matches.SIZES` where `size` says so.

    Returns:
        None where no annotated person of that kind counts.

    Raises:
        UsageError: the two evaluations are of different photographs.
    """
    if baseline and _names(baseline) != _names(evaluation):
        raise UsageError("the two evaluations are of different photographs; evaluate both on the same annotations")
    judged = [evaluation] if baseline is None else [evaluation, baseline]
    rankings = [Ranking([image.of_size(size) for image in network.per_image]) for network in judged]
    if not rankings[0].truths.sum():
        return None
    random = np.random.default_rng(seed)
    drawn: list[float] = []
    while len(drawn) < samples:
        picks = random.integers(0, evaluation.images, evaluation.images)
        curves = [ranking.curves(np.bincount(picks, minlength=evaluation.images)) for ranking in rankings]
        precisions = [None if curve is None else float(curve.precision.mean()) for curve in curves]
        if precisions[0] is not None:  # a draw without any such person has no AP; draw again
            drawn.append(precisions[0] - sum(value or 0.0 for value in precisions[1:]))
    low, high = np.quantile(drawn, [(1 - coverage) / 2, (1 + coverage) / 2])
    return ApInterval(float(low), float(high), float(np.std(drawn)))


def _names(evaluation: Evaluation) -> list[tuple[int, str]]:
    return [(result.image_id, result.file_name) for result in evaluation.per_image]


def gain(
    evaluation: Evaluation, baseline: Evaluation, draws: int, coverage: float, seed: int, size: str | None = None
) -> dict[str, Any] | None:
    """JSON-ready: AP gained over `baseline`, paired.

    ap: the difference. ap_interval: its bootstrap interval. resolves: the smallest true difference that photographs
    like these would show, by an interval without 0, in four cases of five; None where the two never differ.

    Returns:
        None where no annotated person of that kind counts.

    Raises:
        UsageError: the two evaluations are of different photographs.
    """
    interval = draw_ap(evaluation, baseline, draws, coverage, seed, size)
    if interval is None:
        return None
    name = "ap" if size is None else f"ap_{size}"
    difference = (getattr(evaluation, name) or 0.0) - (getattr(baseline, name) or 0.0)
    resolves = SEEN * interval.error if interval.error > 0 else None
    return {"ap": difference, "ap_interval": interval.to_list(), "resolves": resolves}
