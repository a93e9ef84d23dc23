"""IndexMap: which element of a tensor each element of a rearranged one is; torch-free, hashable, and small.

The map is a sum: the flat number of an element of the source is `offset` plus one term for each axis of the result.
Slices, strides, flips, rolls, permutations, repetitions and every reshape that splits or joins whole axes are of this
form, and so are compositions of them as long as no reshape cuts across a seam (`models.frontend.views.view`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np


@dataclass(frozen=True)
class Run:
    """The terms of neighbouring positions along an axis: `start` plus each digit of the position times its step.

    Attributes:
        start: the first term.
        digits: (extent, step), the digit that changes slowest first; none: a single position.
    """

    start: int
    digits: tuple[tuple[int, int], ...] = ()

    @property
    def count(self) -> int:
        return prod(extent for extent, _ in self.digits)

    def terms(self) -> np.ndarray:
        """(count,) int64."""
        steps = [np.arange(extent, dtype=np.int64) * step for extent, step in self.digits]
        return reduce(add_terms, steps, np.full(1, self.start, np.int64))


#: the terms of all positions along an axis, run after run
AxisRuns = tuple[Run, ...]


@dataclass(frozen=True)
class IndexMap:
    """The flat number, in a source, of each element of a result of any rank: `offset` plus a term of every axis."""

    offset: int
    axes: tuple[AxisRuns, ...]

    @classmethod
    def of(cls, offset: int, tables: Sequence[np.ndarray]) -> IndexMap:
        """From the terms of each axis. Equal maps become equal values: the terms of an axis begin at zero."""
        firsts = [int(table[0]) for table in tables]
        shifted = (table - first for table, first in zip(tables, firsts, strict=True))
        return cls(offset + sum(firsts), tuple(find_runs(table) for table in shifted))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape of the result."""
        return tuple(sum(run.count for run in runs) for runs in self.axes)

    def tables(self) -> list[np.ndarray]:
        """The terms of each axis, int64; the offset is not in them."""
        return [axis_terms(runs) for runs in self.axes]

    def indices(self) -> np.ndarray:
        """The flat numbers, int64 of shape `sizes`."""
        return reduce(add_terms, self.tables(), np.full(1, self.offset, np.int64)).reshape(self.sizes)

    def take(self, source: np.ndarray) -> np.ndarray:
        """The result made of `source`, whose own shape does not matter: a new array of shape `sizes`."""
        return np.take(source.reshape(-1), self.indices())

    def is_bijective(self, elements: int) -> bool:
        """Whether each of a source's `elements` elements is met exactly once."""
        if prod(self.sizes) != elements:
            return False
        met = np.zeros(elements, bool)
        met[self.indices().reshape(-1)] = True
        return bool(met.all())

    def __str__(self) -> str:
        return f"{self.offset}+" + "|".join(",".join(_text(run) for run in runs) for runs in self.axes)


@dataclass(frozen=True)
class Move:
    """One operand of a "rearrange" layer: what is read of it, and the box of the layer's output that it fills.

    Attributes:
        index_map: of rank 3: channels, rows, columns of the box.
        operand: position among the layer's inputs.
        first: where the box begins in the output: (channel, row, column).
    """

    index_map: IndexMap
    operand: int = 0
    first: tuple[int, int, int] = (0, 0, 0)


def axis_terms(runs: AxisRuns) -> np.ndarray:
    """(count,) int64."""
    return np.concatenate([run.terms() for run in runs])


def add_terms(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Every sum of a term of `outer` and one of `inner`, the inner one changing faster; flat."""
    return (outer.reshape(-1)[:, None] + inner.reshape(-1)[None, :]).reshape(-1)


def split_terms(table: np.ndarray, inner: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The inverse of `add_terms` for `inner` inner terms, which begin at zero; None where there are none such."""
    square = table.reshape(-1, inner)
    outer, first = square[:, 0], square[0] - square[0, 0]
    return (outer, first) if np.array_equal(square, outer[:, None] + first[None, :]) else None


def find_runs(table: np.ndarray) -> AxisRuns:
    """The terms of an axis in few runs: one with digits where there is such a one, else stretches of equal steps."""
    digits = _find_digits(table)
    if digits is not None:
        return (Run(int(table[0]), digits),)
    runs, first = [], 0
    while first < len(table):
        count = _constant_steps(table[first:])
        step = int(table[first + 1] - table[first]) if count > 1 else 0
        runs.append(Run(int(table[first]), ((count, step),) if count > 1 else ()))
        first += count
    return tuple(runs)


def _find_digits(table: np.ndarray) -> tuple[tuple[int, int], ...] | None:
    count = len(table)
    if count == 1:
        return ()
    straight = _constant_steps(table)
    for inner in range(straight, 1, -1):
        if count % inner == 0 and (halves := split_terms(table, inner)) is not None:
            outer = _find_digits(halves[0])
            if outer is not None:
                return (*outer, (inner, int(table[1] - table[0])))
    return None


def _constant_steps(table: np.ndarray) -> int:
    """How many terms from the first on have the same step from one to the next."""
    if len(table) < 3:
        return len(table)
    steps = np.diff(table)
    changes = np.flatnonzero(steps != steps[0])
    return int(changes[0]) + 1 if len(changes) else len(table)


def _text(run: Run) -> str:
    digits = "".join(f"[{extent}:{step}]" for extent, step in run.digits)
    return f"{run.start}{digits}" if run.start or not digits else digits
