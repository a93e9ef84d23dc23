"""Which units of one layer stay, at any fraction of zeros: the mask that costs least by optimal removal; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from models.plans.sparsity import Sparsity, WeightShape
from models.prune.masks.build import mask, spread
from models.prune.reconstruction.small_matrices import map_matrices
from models.prune.reconstruction.surgeon import Removals, removals, unit_labels


@dataclass(frozen=True, eq=False)
class Selection:
    """The order in which a layer's units go, for masks of one family (pattern, block) of sparsities.

    Attributes:
        shape: of the weight.
        groups: the order in each filter group; none under "pattern".
        scores: under "pattern": what stands for the weight, in the weight's shape; else None.
    """

    shape: WeightShape
    groups: tuple[Removals, ...]
    scores: np.ndarray | None = None

    def mask(self, sparsity: Sparsity) -> np.ndarray:
        """bool, of the weight's shape. The sparsity keeps no fewer units than the one the selection was made for."""
        if self.scores is not None:
            return mask(self.scores, sparsity)
        units = np.ones((len(self.groups), sparsity.units(self.shape)), bool)
        going = units.size - sparsity.kept_units(self.shape)
        if sparsity.balanced:
            for group, removed in enumerate(self.groups):
                units[group, removed.order[: units.shape[1] - sparsity.kept_units(self.shape)]] = False
        else:
            # A unit may go only after the cheaper-looking ones before it, so costs are taken as if they never fell.
            costs = np.concatenate([np.maximum.accumulate(removed.costs) for removed in self.groups])
            first = np.argsort(costs, kind="stable")[:going]
            owners = np.repeat(np.arange(len(self.groups)), [len(removed.order) for removed in self.groups])
            units[owners[first], np.concatenate([removed.order for removed in self.groups])[first]] = False
        positions = 1 if sparsity.pattern == "connectivity" else self.shape[2] * self.shape[3]
        return spread(units.reshape(len(units), -1, positions), sparsity, self.shape).copy()


def select(
    h: np.ndarray,
    g: np.ndarray,
    sparsity: Sparsity,
    shape: WeightShape,
    share: float = 0.05,
    importance: np.ndarray | None = None,
) -> Selection:
    """Order the units of a layer for `sparsity`, and for all of its family that have fewer zeros.

    Args:
        h, g: as in models.prune.reconstruction.surgeon, (columns, columns) and (filters, columns); columns beyond the
            weight's always stay.
        share: of the units that are left, so many are removed between two looks at the costs.
        importance: (filters,), what the squared error of each filter counts; None: 1.
    """
    inverse = np.linalg.inv(h)
    dense = g @ inverse
    if importance is not None:
        dense = dense * np.sqrt(importance)[:, None]
    if sparsity.pattern == "pattern":
        columns = prod(shape[1:])
        return Selection(shape, (), (dense[:, :columns] / np.sqrt(np.diag(inverse)[:columns])).reshape(shape))
    labels, size = unit_labels(sparsity, shape), sparsity.block[0]
    keep = sparsity.kept_units(shape) if sparsity.balanced else 0
    rows = [dense[first : first + size] for first in range(0, shape[0], size)]
    order = partial(removals, inverse, labels=labels, keep=keep, share=share)
    return Selection(shape, tuple(map_matrices(order, rows)))


def join_selections(shape: WeightShape, parts: Sequence[Selection]) -> Selection:
    """The selections of a convolution's groups as one of its whole weight."""
    scores = [part.scores for part in parts if part.scores is not None]
    groups = tuple(removed for part in parts for removed in part.groups)
    return Selection(shape, groups, np.concatenate(scores) if scores else None)
