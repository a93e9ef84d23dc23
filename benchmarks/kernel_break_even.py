"""Break-even ratios and means for `benchmarks.kernels`: pure arithmetic.

A ratio is dense / kept weights: 2.0 keeps half of them. A sparse kernel's time is taken as linear in the kept fraction
(1 / ratio) between the ratios it was measured at; a fixed cost plus a cost per kept weight is just that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median


def break_even(times: Mapping[float, float], rival: float = 1.0) -> float | None:
    """The least ratio from which on a sparse kernel is no slower than its rival.

    Args:
        times: the sparse kernel's time by kept fraction, 0 to 1; in the unit of `rival`.
        rival: the dense kernel's time.

    Returns:
        Where the line between two measured points meets the rival's time. If the sparse kernel is no slower at every
        point, the ratio of the densest one: 1.0 where it was measured with everything kept, else an upper bound. If it
        is slower at the sparsest point, None: not reached. Where times cross more than once, the last crossing counts.
    """
    points = sorted(times.items())
    if not points or points[0][1] > rival:
        return None
    for (sparser, fast), (denser, slow) in pairwise(points):
        if slow > rival:
            return 1 / (sparser + (denser - sparser) * (rival - fast) / (slow - fast))
    return 1 / points[-1][0]


def best_break_even(families: Iterable[Mapping[float, float]]) -> float | None:
    """The least `break_even` of several sparse kernels, their times given over the rival's; None: none reaches it."""
    return min((ratio for times in families if (ratio := break_even(times)) is not None), default=None)


def middle_break_even(layers: Sequence[float | None]) -> float | None:
    """The median over layers, those not reached above all others; None of nothing, or where it is not reached."""
    if not layers:
        return None
    middle = median(math.inf if ratio is None else ratio for ratio in layers)
    return middle if math.isfinite(middle) else None


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None of nothing."""
    logarithms = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float | None:
    """The median of the ratios of samples taken in the same round; None without samples of both."""
    if not numerators or len(numerators) != len(denominators):
        return None
    return median(above / below for above, below in zip(numerators, denominators, strict=True))
