"""The physical baseline: milliseconds as a sum of terms that each can only cost time, fitted per class of kernel.

Non-negative least squares on the *relative* error (rows and target divided by the measured time), so that small layers
count as large ones; reweighted a few times, so that it is the absolute errors whose sum is least and outliers count
little. A class borrows from its parent: the parent's rows take part with a weight that falls as the class
has more rows of its own. It knows features and classes, and neither trees nor devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from latency.feature_names import IN_FLIGHT, NAMES
from latency.runtimes import PARENTS

#: columns of `latency.feature_names` that cost time: launches, arithmetic, traffic of tiles, memory, the longest core
TERMS = (
    "one", "grids", "macs_kept", "macs_slices", "macs_tiles", "winograd_macs", "loads_input", "loads_weights",
    "bytes_in", "bytes_out", "bytes_weights", "bytes_index", "bytes_addends", "bytes_scratch",
    "item_macs", "wave_macs", "work_items", "item_weights", "depth", "root_work", "steps_volume", "smooth_volume",
    *(f"{name}_{least}" for name in ("items", "outputs") for least in IN_FLIGHT),
)  # fmt: skip

#: rows of its own at which a class stops listening to its parent much
ENOUGH_ROWS = 40
#: rounds of reweighting, and the relative error below which a row gains no more weight
ROUNDS, LEAST_ERROR = 5, 0.03
#: name of the fit to all rows, which answers for classes never seen
EVERY = ""


@dataclass(frozen=True)
class Baseline:
    """Coefficients, in milliseconds per unit of each term, by class of kernel; EVERY is of all rows together.

    Terms are TERMS and then the times on other devices, where the model has any: these cost time in proportion too.
    """

    coefficients: Mapping[str, tuple[float, ...]]

    @classmethod
    def fit(
        cls, features: np.ndarray, kernels: Sequence[str], ms: np.ndarray, others: np.ndarray | None = None
    ) -> Baseline:
        """Fit to `features` (n, columns), classes, milliseconds (n) and those of other devices (n, devices)."""
        terms, names = _terms(features, others), np.array(kernels)
        fitted = {EVERY: _solve(terms, ms, np.ones(len(ms)))}
        for kernel in sorted(set(kernels)):
            fitted[kernel] = _solve(terms, ms, _weights(kernel, names))
        return cls(fitted)

    def predict(self, features: np.ndarray, kernels: Sequence[str], others: np.ndarray | None = None) -> np.ndarray:
        """Milliseconds (n), above zero. A class never seen is its nearest known ancestor's, or all rows'."""
        terms = _terms(features, others)
        table = {kernel: np.array(self.coefficients[self._known(kernel)]) for kernel in set(kernels)}
        rows = np.array([table[kernel] for kernel in kernels]).reshape(terms.shape)
        return np.maximum((terms * rows).sum(1), 1e-6)

    def _known(self, kernel: str) -> str:
        while kernel not in self.coefficients:
            kernel = PARENTS.get(kernel, EVERY)
        return kernel

    def to_json(self) -> dict[str, Any]:
        return {"terms": list(TERMS), "coefficients": {name: list(row) for name, row in self.coefficients.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Baseline:
        """The inverse of `to_json`. Raises ValueError where the terms are not those of today."""
        if values["terms"] != list(TERMS):
            raise ValueError("its baseline has other terms")
        return cls({name: tuple(map(float, row)) for name, row in values["coefficients"].items()})


def _terms(features: np.ndarray, others: np.ndarray | None) -> np.ndarray:
    physical = features[:, [NAMES.index(name) for name in TERMS]]
    return physical if others is None else np.column_stack([physical, others])


def _weights(kernel: str, names: np.ndarray) -> np.ndarray:
    """Weights of all rows for the fit of a class: 1 of its own, less of its ancestors', else 0, unless it has none."""
    own = names == kernel
    weights, share = own.astype(float), 1.0
    while (kernel := PARENTS.get(kernel, "")) or share == 1.0:
        share *= min(1.0, ENOUGH_ROWS / max(1, own.sum())) * 0.1
        family = names == kernel if kernel else np.ones(len(names), bool)
        weights = np.maximum(weights, share * family)
        if not kernel:
            break
    return weights


def _solve(terms: np.ndarray, ms: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    """Non-negative coefficients of terms / ms against 1, by iteratively reweighted least squares."""
    relative, used = terms / ms[:, None], weights > 0
    relative, kept = relative[used], weights[used]
    found = _least_squares(relative, kept)
    for _ in range(ROUNDS - 1):
        error = np.abs(relative @ found - 1)
        found = _least_squares(relative, kept / np.maximum(error, LEAST_ERROR))
    return tuple(map(float, found))


def _least_squares(relative: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted non-negative least squares of `relative` against 1, each term scaled to its root mean square."""
    scaled = relative * np.sqrt(weights)[:, None]
    sizes = np.sqrt((scaled**2).mean(0))
    sizes[sizes == 0] = 1.0
    return nnls(scaled / sizes, np.sqrt(weights))[0] / sizes
