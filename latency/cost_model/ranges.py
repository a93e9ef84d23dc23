"""The range of every input a predictor was fitted on, and in words what lies outside: extrapolation is never silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetpose.errors import unknown_name
from latency.cost_model.feature_names import NAMES

#: columns that are checked: what of a layer and sparsity a user chooses; the others follow from these
CHECKED = (
    "cin", "cout", "h_in", "h_out", "taps", "stride", "dilation", "macs", "zeros", "block_filters", "block_channels",
    "half", "wide_sums", "wide_products",
)  # fmt: skip


@dataclass(frozen=True)
class Ranges:
    """Least and greatest value of each of CHECKED, and the classes of kernels there were."""

    bounds: Mapping[str, tuple[float, float]]
    kernels: frozenset[str]

    def __post_init__(self) -> None:
        for name in self.bounds:
            if name not in CHECKED:
                raise unknown_name("column with a range", name, CHECKED)

    @classmethod
    def of(cls, features: np.ndarray, kernels: Sequence[str]) -> Ranges:
        """The ranges of what a model is fitted on: features (n, columns)."""
        columns = {name: features[:, NAMES.index(name)] for name in CHECKED}
        bounds = {name: (float(column.min()), float(column.max())) for name, column in columns.items()}
        return cls(bounds, frozenset(kernels))

    def outside(self, features: np.ndarray, kernels: Sequence[str]) -> np.ndarray:
        """How far outside each row lies (n): the logarithm of the largest factor from a bound to what is beyond it.

        0 inside; infinite where the class of kernel is new, or where a bound or what is beyond it is 0.
        """
        distances = np.array([0.0 if kernel in self.kernels else np.inf for kernel in kernels])
        for name, (low, high) in self.bounds.items():
            column = features[:, NAMES.index(name)].astype(np.float64)
            for lesser, greater in ((column, np.full_like(column, low)), (np.full_like(column, high), column)):
                beyond = np.full_like(column, np.inf)
                np.divide(greater, lesser, out=beyond, where=lesser > 0)
                distances = np.maximum(distances, np.where(greater > lesser, np.log(np.maximum(beyond, 1.0)), 0.0))
        return distances

    def doubts(self, features: np.ndarray, kernels: Sequence[str]) -> list[tuple[str, ...]]:
        """For each row what of it lies outside: "cin 4096 is above 2048, the most it was fitted on"."""
        doubts: list[list[str]] = [
            [] if kernel in self.kernels else [f"no kernel of class {kernel} was fitted on"] for kernel in kernels
        ]
        for name, (low, high) in self.bounds.items():
            column = features[:, NAMES.index(name)]
            for row in np.flatnonzero(column < low):
                doubts[row].append(f"{name} {column[row]:g} is below {low:g}, the least it was fitted on")
            for row in np.flatnonzero(column > high):
                doubts[row].append(f"{name} {column[row]:g} is above {high:g}, the most it was fitted on")
        return [tuple(texts) for texts in doubts]
