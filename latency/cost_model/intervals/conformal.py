"""Intervals that hold what they promise, from the errors of predictions for groups that were held out.

Conformal prediction on the log error: each class of kernel has a scale, drawn towards all rows' where it has few, and
one quantile of error / scale serves all. It knows errors and classes, and neither features nor trees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetpose.json_fields import in_json

#: rows with which all rows' scale counts in a class's
PRIOR_ROWS = 20
#: no class is better known than this log error
LEAST_SCALE = 0.005


@dataclass(frozen=True)
class Conformal:
    """Intervals at one nominal coverage.

    Attributes:
        level: nominal coverage, 0.9.
        quantile: of |log error| / scale on held-out groups.
        scales: log error by class; "" is of all.
        rows: errors it was made of.
    """

    level: float
    quantile: float = field(metadata=in_json(null=math.inf))
    scales: Mapping[str, float]
    rows: int

    def __post_init__(self) -> None:
        if "" not in self.scales or min(self.scales.values()) <= 0 or not self.quantile >= 0:
            raise ValueError("its intervals have no scale above 0 of all rows, or a quantile below 0")

    @classmethod
    def fit(cls, errors: np.ndarray, kernels: Sequence[str], level: float = 0.9) -> Conformal:
        """From held-out log errors (n) and the class of each; without any, intervals are unbounded (quantile inf)."""
        sizes = np.abs(errors)
        if not len(sizes):
            return cls(level, math.inf, {"": 1.0}, 0)
        names, overall = np.array(kernels), max(LEAST_SCALE, float(np.median(sizes)))
        scales = {"": overall}
        for kernel in sorted(set(kernels)):
            own = sizes[names == kernel]
            blended = (len(own) * float(np.median(own)) + PRIOR_ROWS * overall) / (len(own) + PRIOR_ROWS)
            scales[kernel] = max(LEAST_SCALE, blended)
        scores = np.sort(sizes / np.array([scales[kernel] for kernel in kernels]))
        rank = math.ceil((len(scores) + 1) * level)
        quantile = float(scores[rank - 1]) if rank <= len(scores) else math.inf
        return cls(level, quantile, scales, len(sizes))

    def factors(self, kernels: Sequence[str]) -> np.ndarray:
        """What to divide and multiply predictions by (n), one for each class."""
        scales = np.array([self.scales.get(kernel, self.scales[""]) for kernel in kernels])
        with np.errstate(over="ignore"):
            return np.exp(self.quantile * scales)
