"""Optimal removal: which units of a layer go, and what the weights that stay become, by least squares; NumPy alone.

A layer without its activation is y = W x, with x a column of inputs (each input channel at each kernel position, and a
1 for the bias). On calibration samples it shall give targets t, so W minimises |t - W x|^2, which needs two matrices
only: H = sum x x', and G = sum t x'. What removing columns q costs, all other weights making up for it as well as they
can, is w_q inv(inv(H)_qq) w_q' (Optimal Brain Surgeon, Hassibi & Stork 1993; for groups, Frantar & Alistarh 2022,
arXiv:2208.11580). Units are removed a few at a time, the cheapest by that cost, and costs are computed anew in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from models.plans.sparsity import Sparsity, WeightShape
from models.prune.reconstruction.small_matrices import map_matrices


def unit_labels(sparsity: Sparsity, shape: WeightShape) -> np.ndarray:
    """Which unit of its filter group each column is in: int (in * height * width,), columns ordered as in a weight.

    Units are numbered as `models.prune.masks.build.unit_scores` orders them; not for "pattern".
    """
    _, channels, height, width = shape
    positions = height * width
    blocks = np.arange(channels) // sparsity.block[1]
    if sparsity.pattern == "connectivity":
        return blocks.repeat(positions)
    return (blocks[:, None] * positions + np.arange(positions)).ravel()


@dataclass(frozen=True, eq=False)
class Removals:
    """The order in which one filter group's units go, cheapest first, and the error each adds per weight it removes."""

    order: np.ndarray
    costs: np.ndarray


def removals(inverse: np.ndarray, weight: np.ndarray, labels: np.ndarray, keep: int, share: float = 0.05) -> Removals:
    """Remove units of one filter group until `keep` are left.

    Of inv(H) with the removed columns' rows and columns gone, inv(H) - B' B, only what is asked for is computed: the
    block of each unit, and the rows of those that go next, which B then grows by.

    Args:
        inverse: inv(H), (columns, columns); columns beyond those of `labels` (the bias) always stay.
        weight: (filters, columns), the least-squares solution with every column.
        labels: the unit of each column, 0 to units - 1.
        share: of the units that are left, so many go at a time.
    """
    units = _Units(inverse, labels)
    weight, filters = weight.copy(), len(weight)
    b = np.empty((len(labels), len(inverse)))
    used, left = 0, units.count
    order, costs = [], []
    while left > keep:
        cost = units.costs(weight) / filters
        going = np.argsort(cost, kind="stable")[: min(left - keep, max(1, round(share * left)))]
        order.append(going)
        costs.append(cost[going])
        columns = units.remove(going)
        rows = inverse[columns] - b[:used, columns].T @ b[:used]
        factor = np.linalg.cholesky(rows[:, columns])
        grown = solve_triangular(factor, rows, lower=True, check_finite=False)
        weight -= (weight[:, columns] @ np.linalg.inv(factor).T) @ grown
        weight[:, columns] = 0
        b[used : used + len(columns)] = grown
        used, left = used + len(columns), left - len(going)
        units.shrink(grown)
    return Removals(np.concatenate([*order, np.empty(0, int)]), np.concatenate([*costs, np.empty(0)]))


class _Units:
    """The columns of each unit, and the unit's block of the inverse as it is now; units of one size are stacked."""

    def __init__(self, inverse: np.ndarray, labels: np.ndarray) -> None:
        columns = np.argsort(labels, kind="stable")
        names, starts, sizes = np.unique(labels[columns], return_index=True, return_counts=True)
        self.count = len(names)
        self.alive = np.ones(self.count, bool)
        self.columns = np.split(columns, starts[1:])
        self.stacks = []  # (units, their columns (units, size), their blocks (units, size, size))
        for size in np.unique(sizes):
            these = np.flatnonzero(sizes == size)
            at = columns[starts[these][:, None] + np.arange(size)]
            self.stacks.append((these, at, inverse[at[:, :, None], at[:, None, :]]))

    def costs(self, weight: np.ndarray) -> np.ndarray:
        """What removing each unit costs, per column; infinite for those that are gone."""
        costs = np.full(self.count, np.inf)
        for these, at, blocks in self.stacks:
            left = self.alive[these]
            values = weight[:, at[left]].transpose(1, 2, 0)  # (units, size, filters)
            size = at.shape[1]
            solved = values / blocks[left] if size == 1 else np.linalg.solve(blocks[left], values)
            costs[these[left]] = (values * solved).sum(axis=(1, 2)) / size
        return costs

    def remove(self, going: np.ndarray) -> np.ndarray:
        """Take units out; answers their columns."""
        self.alive[going] = False
        return np.concatenate([self.columns[unit] for unit in going])

    def shrink(self, grown: np.ndarray) -> None:
        """Subtract grown' grown, (rows, columns), from the inverse."""
        for _, at, blocks in self.stacks:
            rows = grown[:, at]  # (rows, units, size)
            blocks -= np.einsum("rui,ruj->uij", rows, rows, optimize=at.shape[1] > 1)


class Solver:
    """Least squares with some columns of some filters held at zero, for one H and any number of targets.

    Filters that keep the same columns are solved together.
    """

    def __init__(self, inputs: np.ndarray, kept: np.ndarray) -> None:
        """`inputs` is H, (columns, columns), positive definite; `kept` is bool (filters, columns)."""
        self._shape = kept.shape
        self._parts: list[tuple[np.ndarray, np.ndarray, tuple[np.ndarray, bool]]] = []
        patterns, which = np.unique(kept, axis=0, return_inverse=True)
        kept_columns = [np.flatnonzero(pattern) for pattern in patterns]
        factors = map_matrices(
            lambda columns: cho_factor(inputs[np.ix_(columns, columns)], lower=True, check_finite=False),
            [columns for columns in kept_columns if len(columns)],
        )
        solved = [index for index, columns in enumerate(kept_columns) if len(columns)]
        for index, factor in zip(solved, factors, strict=True):
            self._parts.append((np.flatnonzero(which.ravel() == index), kept_columns[index], factor))

    def __call__(self, cross: np.ndarray) -> np.ndarray:
        """The weight (filters, columns) for G, of the same shape."""
        weight = np.zeros(self._shape)

        def solve(part: tuple[np.ndarray, np.ndarray, tuple[np.ndarray, bool]]) -> None:
            rows, columns, factor = part
            weight[np.ix_(rows, columns)] = cho_solve(factor, cross[np.ix_(rows, columns)].T, check_finite=False).T

        map_matrices(solve, self._parts)
        return weight
