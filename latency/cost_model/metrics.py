"""How good predictions are: errors and shares as fractions, rank correlations, and bootstrap intervals over groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import stats

#: resamples of the groups
RESAMPLES = 500


def mape(measured: np.ndarray, predicted: np.ndarray) -> float:
    """The mean of |predicted / measured - 1| of predictions (n) against measurements (n), as a fraction."""
    return float(np.abs(predicted / measured - 1).mean())


def scores(measured: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """The metrics of predictions (n) against measurements (n), None where there is nothing to say.

    mape, median_ape, rmspe: mean, median and root mean square of |predicted / measured - 1|; within_5, within_10:
    share of rows whose error is at most 5 and 10 %; spearman, kendall: rank correlations, None of fewer than 2 rows.
    """
    names = ("mape", "median_ape", "within_5", "within_10", "rmspe")
    if not len(measured):
        return dict.fromkeys((*names, "spearman", "kendall"))
    error = np.abs(predicted / measured - 1)
    shares = [float((error <= bound).mean()) for bound in (0.05, 0.10)]
    values = (float(error.mean()), float(np.median(error)), *shares, float(np.sqrt((error**2).mean())))
    ranks = {
        "spearman": _rank(stats.spearmanr, measured, predicted),
        "kendall": _rank(stats.kendalltau, measured, predicted),
    }
    return {**dict(zip(names, values, strict=True)), **ranks}


def _rank(correlation: Callable, measured: np.ndarray, predicted: np.ndarray) -> float | None:
    if len(measured) < 2 or np.ptp(measured) == 0 or np.ptp(predicted) == 0:
        return None
    return float(correlation(measured, predicted).statistic)


def bootstrap(values: Mapping[str, np.ndarray], groups: Sequence[str], seed: int = 0) -> dict[str, list[float]]:
    """95 % percentile intervals of the means of `values` (each n), resampling whole groups: rows of one are alike.

    Args:
        groups: the group of each row.
    """
    ones = np.ones(len(groups))
    return {name: bootstrap_ratio(value, ones, groups, seed) for name, value in values.items()} if len(groups) else {}


def bootstrap_ratio(above: np.ndarray, below: np.ndarray, groups: Sequence[str], seed: int = 0) -> list[float]:
    """The 95 % percentile interval of sum(above) / sum(below) (each n), resampling whole groups of rows."""
    names, index = np.unique(np.array(groups), return_inverse=True)
    draws = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    times = np.array([np.bincount(draw, minlength=len(names)) for draw in draws], float)
    sums, totals = (times @ np.bincount(index, value, len(names)) for value in (above, below))
    return [float(bound) for bound in np.quantile(sums / totals, [0.025, 0.975])]
