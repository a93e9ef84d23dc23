"""Which depths and widths of a family hold a budget, by closed-form cost; torch-free and quick."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from fleetpose.errors import UsageError
from models.depth_search.families import DepthFamily, Numbers

#: how many steps a stage's width may lie beside the common shrinking so that the budget can be met: with two stages,
#: and with more (where the combinations are many)
SIDESTEPS = (2, 1)
#: ways to divide a number of blocks that are tried, the nearest to the base's first
SPLITS = 200
#: ways to divide that are so much as listed
COMPOSITIONS = 200_000


@dataclass(frozen=True)
class DepthSearch:
    """A budget, and how closely and by which networks it is to be held.

    Attributes:
        gmacs: the budget, 1e9 multiply-adds with biases and batch norm, as the paper counts.
        tolerance: how far from it a network may be, as a fraction.
        step: widths are multiples of it (but for the full widths themselves).
        blocks: numbers of blocks to try; (): the family's own.
        all_splits: list every way to divide the blocks among stages that holds (of the SPLITS nearest to the base's
            proportions), not only the nearest.
        size: input (height, width), pixels.
    """

    gmacs: float
    tolerance: float = 0.02
    step: int = 8
    blocks: Numbers = ()
    all_splits: bool = False
    size: tuple[int, int] = (368, 368)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gmacs) and self.gmacs > 0 and 0 < self.tolerance < 1 and self.step > 0):
            raise UsageError(
                f"the budget ({self.gmacs} GMACs) and the step ({self.step}) must be above 0, "
                f"the tolerance ({self.tolerance}) between 0 and 1"
            )

    @property
    def slack(self) -> float:
        """The tolerance in multiply-adds."""
        return self.tolerance * self.gmacs * 1e9


def shapes(family: DepthFamily, total: int, search: DepthSearch, fixed_macs: int) -> list[tuple[Numbers, Numbers]]:
    """(depths, widths) of `total` blocks within the budget: the one nearest to the base's proportions, or all.

    Where none is, the base's proportions at the widths nearest to the budget.

    Args:
        fixed_macs: multiply-adds (with biases and batch norm) of the network that the family's cost leaves out.

    Raises:
        UsageError: fewer blocks than stages, or very many.
    """
    stages = len(family.depths)
    if total < stages:
        raise UsageError(f"{total} blocks cannot fill {stages} stages; give at least {stages}")
    if math.comb(total - 1, stages - 1) > COMPOSITIONS:
        raise UsageError(f"{total} blocks divide among {stages} stages in too many ways; give fewer")
    budget = search.gmacs * 1e9 - fixed_macs
    within_budget: list[tuple[Numbers, Numbers]] = []
    best, best_distortion = None, math.inf
    for depths in _splits(family.depths, total)[:SPLITS]:
        spread = _spread(depths, family.depths)
        if spread >= best_distortion and not search.all_splits:
            break
        widths, off = _widths(family, depths, budget, search)
        distortion = spread * _spread(widths, family.widths)
        if off <= search.slack:
            within_budget.append((depths, widths))
            if distortion < best_distortion:
                best, best_distortion = (depths, widths), distortion
    if best is None:
        proportional = _splits(family.depths, total)[0]
        return [(proportional, _widths(family, proportional, budget, search)[0])]
    return within_budget if search.all_splits else [best]


def _spread(values: Numbers, base: Numbers) -> float:
    """1 where `values` are in the base's proportions, else the largest ratio between two stages' factors."""
    factors = [value / full for value, full in zip(values, base, strict=True)]
    return max(factors) / min(factors)


def _splits(base: Numbers, total: int) -> list[Numbers]:
    """Every way to divide `total` blocks among the stages, the nearest to the base's proportions first."""

    def compositions(left: int, stages: int) -> Iterator[Numbers]:
        if stages == 1:
            yield (left,)
            return
        for first in range(1, left - stages + 2):
            for others in compositions(left - first, stages - 1):
                yield (first, *others)

    return sorted(compositions(total, len(base)), key=lambda depths: _spread(depths, base))


def _widths(family: DepthFamily, depths: Numbers, budget: float, search: DepthSearch) -> tuple[Numbers, float]:
    """The widths nearest to a common shrinking that hold the budget, or else the nearest to it; and how far off."""

    def off(widths: Numbers) -> float:
        return abs(family.cost(depths, widths, search.size).macs_bn - budget)

    if family.cost(depths, family.widths, search.size).macs_bn <= budget:
        return family.widths, off(family.widths)  # full already, and widths do not grow
    best = sorted(_diagonal(family.widths, search.step), key=off)[:3]
    reach = SIDESTEPS[len(family.widths) > 2] * search.step
    offsets = range(-reach, reach + 1, search.step)
    options = {
        tuple(
            min(max(width + offset, search.step), full)
            for width, offset, full in zip(centre, offset_of, family.widths, strict=True)
        )
        for centre in best
        for offset_of in itertools.product(offsets, repeat=len(family.widths))
    }
    holding = [widths for widths in options if off(widths) <= search.slack]
    chosen = (
        min(holding, key=lambda widths: (_spread(widths, family.widths), off(widths), widths))
        if holding
        else min(options, key=lambda widths: (off(widths), widths))
    )
    return chosen, off(chosen)


def _diagonal(full: Numbers, step: int) -> list[Numbers]:
    """Every distinct tuple of widths that one common factor up to 1 gives, rounded to the step."""
    finest = 2 * max(full) // step + 1
    factors = (index / finest for index in range(1, finest + 1))
    return list(
        dict.fromkeys(
            tuple(min(max(round(width * factor / step), 1) * step, width) for width in full) for factor in factors
        )
    )
