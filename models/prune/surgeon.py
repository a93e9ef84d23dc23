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
from scipy.linalg import cho_factor, cho_solve

from models.sparsity import Sparsity, WeightShape


def unit_labels(sparsity: Sparsity, shape: WeightShape) -> np.ndarray:
    """Which unit of its filter group each column is in: int (in * height * width,), columns ordered as in a weight.

    Units are numbered as `models.prune.masks.unit_scores` orders them; not for "pattern".
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

    Args:
        inverse: inv(H), (columns, columns); columns beyond those of `labels` (the bias) always stay.
        weight: (filters, columns), the least-squares solution with every column.
        labels: the unit of each column, 0 to units - 1.
        share: of the units that are left, so many go at a time.
    """
    count = int(labels.max()) + 1
    owner = np.concatenate([labels, np.full(weight.shape[1] - len(labels), -1)])
    order: list[np.ndarray] = []
    costs: list[np.ndarray] = []
    left = count
    while left > keep:
        units, cost = _unit_costs(inverse, weight, owner)
        going = np.argsort(cost, kind="stable")[: min(left - keep, max(1, round(share * left)))]
        order.append(units[going])
        costs.append(cost[going])
        gone = np.isin(owner, units[going])
        rest = ~gone
        cross = inverse[np.ix_(gone, rest)]
        moved = np.linalg.solve(inverse[np.ix_(gone, gone)], cross)
        weight = weight[:, rest] - weight[:, gone] @ moved
        inverse = inverse[np.ix_(rest, rest)] - cross.T @ moved
        owner = owner[rest]
        left -= len(going)
    return Removals(np.concatenate([*order, np.empty(0, int)]), np.concatenate([*costs, np.empty(0)]))


def _unit_costs(inverse: np.ndarray, weight: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(units, what removing each costs per weight) of the units that own columns."""
    columns = np.argsort(owner, kind="stable")
    columns = columns[owner[columns] >= 0]
    units, starts, sizes = np.unique(owner[columns], return_index=True, return_counts=True)
    costs = np.empty(len(units))
    for size in np.unique(sizes):
        these = np.flatnonzero(sizes == size)
        at = columns[starts[these][:, None] + np.arange(size)]  # (units, size)
        squares = inverse[at[:, :, None], at[:, None, :]]
        values = weight[:, at].transpose(1, 2, 0)  # (units, size, filters)
        costs[these] = (values * np.linalg.solve(squares, values)).sum(axis=(1, 2)) / (size * len(weight))
    return units, costs


class Solver:
    """Least squares with some columns of some filters held at zero, for one H and any number of targets.

    Filters that keep the same columns are solved together.
    """

    def __init__(self, inputs: np.ndarray, kept: np.ndarray) -> None:
        """`inputs` is H, (columns, columns), positive definite; `kept` is bool (filters, columns)."""
        self._shape = kept.shape
        self._parts: list[tuple[np.ndarray, np.ndarray, tuple[np.ndarray, bool]]] = []
        patterns, which = np.unique(kept, axis=0, return_inverse=True)
        for index, pattern in enumerate(patterns):
            rows, columns = np.flatnonzero(which.ravel() == index), np.flatnonzero(pattern)
            if len(columns):
                factor = cho_factor(inputs[np.ix_(columns, columns)], lower=True, check_finite=False)
                self._parts.append((rows, columns, factor))

    def __call__(self, cross: np.ndarray) -> np.ndarray:
        """The weight (filters, columns) for G, of the same shape."""
        weight = np.zeros(self._shape)
        for rows, columns, factor in self._parts:
            weight[np.ix_(rows, columns)] = cho_solve(factor, cross[np.ix_(rows, columns)].T, check_finite=False).T
        return weight
