"""The physical baseline: milliseconds as a sum of terms that each can only cost time, fitted per class of kernel.

Non-negative least squares on the *relative* error (rows and target divided by the measured time), so that small layers
count as large ones; reweighted a few times, so that it is the absolute errors whose sum is least and outliers count
little. A class is drawn towards its parent's coefficients with the weight of a few rows (`PRIOR_ROWS`, ridge
regression around the parent's in units of what each term is in the class), and every other class's rows count a little,
so that a class with few rows is nearly its parent, and one with many is its own. Classes that multiply nothing learn
from one another (`MOVING`), and of convolutions only what bytes and launches cost. It knows features and classes, and
neither trees nor devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from fleetpose.errors import DataError, quoted
from latency.cost_model.feature_names import IN_FLIGHT, NAMES
from latency.dataset.runtimes import MOVING, PARENTS

#: columns of `latency.cost_model.feature_names` that cost time: launches, arithmetic, traffic of tiles, memory, the
#: longest core.
#: Epilogues are none: what they cost is little and not told apart from a launch on small layers alone, so that a line
#: through these is far out on large ones
TERMS = (
    "one", "grids", "macs_kept", "macs_slices", "macs_tiles", "winograd_macs", "macs_wide_sums", "macs_wide_products",
    "loads_input", "loads_weights",
    "bytes_in", "bytes_out", "bytes_weights", "bytes_index", "bytes_addends", "bytes_scratch",
    "item_macs", "wave_macs", "turn_macs", "turn_loads", "work_groups", "group_turns", "work_items", "item_weights",
    "depth", "root_work", "cells", "exponentials", "seams",
    *(f"{name}_{least}" for name in ("items", "outputs") for least in IN_FLIGHT),
)  # fmt: skip

#: those that cost time where nothing is multiplied; what a convolution takes for the first few says something of these
TRANSFERS = ("one", "grids", "bytes_in", "bytes_out", "bytes_index", "bytes_addends", "bytes_scratch")
MOVING_TERMS = (*TRANSFERS, "loads_input", "work_groups", "group_turns", "work_items", "cells", "exponentials", "seams")

#: rows that the parent's coefficients count for
PRIOR_ROWS = 2.0
#: weight of other classes' rows, and the rows of its own from which on a class gives them less
OTHERS, ENOUGH_ROWS = 0.02, 40
#: rounds of reweighting, the relative error at which a row counts once, and that below which it gains no more weight
ROUNDS, TYPICAL_ERROR, LEAST_ERROR = 5, 0.1, 0.03
#: name of the fit to all rows, which answers for classes never seen
EVERY = ""


@dataclass(frozen=True)
class PhysicalModel:
    """Coefficients, in milliseconds per unit of each term, by class of kernel; EVERY is of all rows together, MOVING
    of those that multiply nothing.

    Columns are `terms` and then the times on other devices, where the model has any: these cost time in proportion too.
    """

    coefficients: Mapping[str, tuple[float, ...]]
    terms: tuple[str, ...] = TERMS

    def __post_init__(self) -> None:
        if self.terms != TERMS:
            raise ValueError("its baseline has other terms")
        if EVERY not in self.coefficients:
            raise ValueError("it has no coefficients of all rows")

    def check_columns(self, others: int) -> None:
        """Raise DataError unless each class has a coefficient of every term and of so many other devices."""
        for kernel, coefficients in self.coefficients.items():
            if len(coefficients) != len(self.terms) + others:
                raise DataError(f"baseline: {quoted(kernel)} has {len(coefficients)} coefficients, not "
                                f"{len(self.terms) + others}")  # fmt: skip

    @classmethod
    def fit(
        cls, features: np.ndarray, kernels: Sequence[str], ms: np.ndarray, others: np.ndarray | None = None
    ) -> PhysicalModel:
        """Fit to `features` (n, columns), classes, milliseconds (n) and those of other devices (n, devices)."""
        relative, names = _terms(features, others) / ms[:, None], np.array(kernels, object)
        fitted = {EVERY: _solve(relative, np.zeros(relative.shape[1]), np.ones(len(ms)))}
        moving = relative * _columns_of(MOVING_TERMS, relative.shape[1])
        fitted[MOVING] = _solve_moving(moving, fitted[EVERY], np.array([_moves(kernel) for kernel in kernels]))
        for kernel in sorted(set(kernels), key=_generation):
            prior, own = np.array(fitted[_nearest(PARENTS.get(kernel, EVERY), fitted)]), names == kernel
            rows, weights = (moving, _weights(own, 0.0)) if _moves(kernel) else (relative, _weights(own))
            fitted[kernel] = _solve(rows, prior, weights)
        return cls(fitted)

    def predict(self, features: np.ndarray, kernels: Sequence[str], others: np.ndarray | None = None) -> np.ndarray:
        """Milliseconds (n), above zero. A class never seen is its nearest known ancestor's, or all rows'."""
        terms = _terms(features, others)
        known = self.coefficients
        table = {kernel: np.array(known[_nearest(kernel, known)]) for kernel in set(kernels)}
        rows = np.array([table[kernel] for kernel in kernels]).reshape(terms.shape)
        return np.maximum((terms * rows).sum(1), 1e-6)


def _terms(features: np.ndarray, others: np.ndarray | None) -> np.ndarray:
    physical = features[:, [NAMES.index(name) for name in TERMS]]
    return physical if others is None else np.column_stack([physical, others])


def _nearest(kernel: str, known: Mapping[str, object]) -> str:
    """The class itself if it is known, else its nearest known ancestor, else EVERY."""
    while kernel not in known:
        kernel = PARENTS.get(kernel, EVERY)
    return kernel


def _generation(kernel: str) -> tuple[int, str]:
    """Sorts parents before their children."""
    depth, name = 0, kernel
    while name in PARENTS:
        depth, name = depth + 1, PARENTS[name]
    return depth, kernel


def _moves(kernel: str) -> bool:
    """Whether a class multiplies nothing."""
    return kernel == MOVING or (kernel in PARENTS and _moves(PARENTS[kernel]))


def _solve_moving(relative: np.ndarray, every: tuple[float, ...], own: np.ndarray) -> tuple[float, ...]:
    """Coefficients of what multiplies nothing, of rows `own`. Of all others it takes what a byte and a launch cost.

    What a work-item of a convolution costs says nothing of one that copies a vector: a rearrangement of 400,000 planes
    was predicted to take ninety times its time by that.
    """
    prior = np.array(every) * _columns_of(TRANSFERS, len(every))
    return _solve(relative, prior, own.astype(np.float64)) if own.any() else tuple(map(float, prior))


def _columns_of(names: Sequence[str], columns: int) -> np.ndarray:
    """1 for each column of a term in `names`, or of another device's times; 0 for the others."""
    return np.array([float(name in names) for name in TERMS] + [1.0] * (columns - len(TERMS)))


def _weights(own: np.ndarray, others: float = OTHERS) -> np.ndarray:
    """Weights of all rows for the fit of a class: 1 of its own, and little of all others."""
    return np.where(own, 1.0, others * min(1.0, ENOUGH_ROWS / own.sum()))


def _solve(relative: np.ndarray, prior: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    """Non-negative coefficients of terms / ms against 1, near `prior`, by iteratively reweighted least squares."""
    sizes = np.sqrt(np.average(relative**2, axis=0, weights=weights))
    sizes[sizes == 0] = 1.0
    scaled, centre, counted = relative / sizes, prior * sizes, weights
    pull = np.sqrt(PRIOR_ROWS) * np.eye(len(sizes))
    for _ in range(ROUNDS):
        roots = np.sqrt(counted)
        solution = nnls(np.vstack([scaled * roots[:, None], pull]), np.concatenate([roots, pull @ centre]))[0]
        counted = weights * TYPICAL_ERROR / np.maximum(np.abs(scaled @ solution - 1), LEAST_ERROR)
    return tuple(map(float, solution / sizes))
