"""TensorView: a tensor of any rank that is a rearrangement of a (C, H, W) tensor of the network; torch-free.

Slices, permutations and reshapes cost nothing while a network is traced: each makes a new view of the same source,
however deep the chain. Only where an operator wants a tensor in planes does a "rearrange" draft come out of it
(`models.frontend.views.placing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np

from models.graph.index_map import IndexMap, add_terms, split_terms
from models.graph.layer import Shape
from models.graph.rearrangement import identity_tables


@dataclass(frozen=True, eq=False)
class TensorView:
    """A tensor whose element i, j, ... is the source's element number offset + tables[0][i] + tables[1][j] + ...

    Attributes:
        source: name of a tensor of the network.
        source_shape: its (C, H, W).
        tables: for each axis, the batch included, the terms of its positions: int64, as many as the axis is long.
        offset: the number of the source's element all terms are added to.
    """

    source: str
    source_shape: Shape
    tables: tuple[np.ndarray, ...]
    offset: int = 0

    @classmethod
    def of(cls, source: str, shape: Shape) -> TensorView:
        """The tensor itself, (1, C, H, W)."""
        return cls(source, shape, (np.zeros(1, np.int64), *identity_tables(shape)))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(table) for table in self.tables)

    @property
    def rank(self) -> int:
        return len(self.tables)

    def permute(self, axes: Sequence[int]) -> TensorView:
        return self._with([self.tables[axis] for axis in axes])

    def take(self, axis: int, positions: np.ndarray | Sequence[int]) -> TensorView:
        """Along an axis the given positions, in their order: slices, flips, rolls, repetitions, padding by copies."""
        tables = list(self.tables)
        tables[axis] = tables[axis][np.asarray(positions, np.int64)]
        return self._with(tables)

    def pick(self, positions: Mapping[int, np.ndarray]) -> TensorView:
        """Several axes become one, along which `positions` go together; torch puts it in front of all others unless
        these axes are neighbours."""
        axes = sorted(positions)
        places = dict(zip(axes, np.broadcast_arrays(*(positions[axis] for axis in axes)), strict=True))
        joint = reduce(np.add, (self.tables[axis][places[axis].reshape(-1)] for axis in axes))
        others = [table for axis, table in enumerate(self.tables) if axis not in positions]
        where = axes[0] if axes == list(range(axes[0], axes[-1] + 1)) else 0
        return self._with([*others[:where], joint, *others[where:]])

    def select(self, axis: int, position: int) -> TensorView:
        """One position of an axis, which goes."""
        tables = list(self.tables)
        term = int(tables.pop(axis)[position])
        return TensorView(self.source, self.source_shape, tuple(tables), self.offset + term)

    def insert(self, axis: int) -> TensorView:
        """A new axis of length 1 before `axis`."""
        return self._with([*self.tables[:axis], np.zeros(1, np.int64), *self.tables[axis:]])

    def expand(self, sizes: Sequence[int]) -> TensorView:
        """Axes of length 1 repeated, new ones in front, as torch's expand; -1 leaves a length."""
        more = len(sizes) - self.rank
        tables = [*(np.zeros(1, np.int64) for _ in range(more)), *self.tables]
        return self._with(
            [
                table if size in (-1, len(table)) else np.repeat(table, size)
                for table, size in zip(tables, sizes, strict=True)
            ]
        )

    def without_repeats(self) -> TensorView:
        """With one element only along the axes that it repeats them along: what torch would repeat again."""
        return self._with([table[:1] if (table == table[0]).all() else table for table in self.tables])

    def reshape(self, sizes: Sequence[int]) -> TensorView | None:
        """The elements in their order under other sizes (no -1 among them); None where the result is no such sum."""
        offset = self.offset + sum(int(table[0]) for table in self.tables if len(table) == 1)
        old = [table for table in self.tables if len(table) > 1]
        tables = _regroup(old, [size for size in sizes if size != 1])
        if tables is None:
            return None
        waiting = iter(tables)
        ones = np.zeros(1, np.int64)
        return TensorView(
            self.source, self.source_shape, tuple(ones if size == 1 else next(waiting) for size in sizes), offset
        )

    def index_map(self, groups: Sequence[Sequence[int]]) -> IndexMap:
        """The map whose axis i is all axes in groups[i], joined in that order; every axis is in one group."""
        return IndexMap.of(
            self.offset, [reduce(add_terms, (self.tables[axis] for axis in group), _ZERO) for group in groups]
        )

    @property
    def is_source(self) -> bool:
        """Whether it is its source: (1, C, H, W), in order."""
        if self.sizes != (1, *self.source_shape):
            return False
        plain = identity_tables(self.source_shape)
        terms = self.tables[1:]
        firsts = self.offset + sum(int(table[0]) for table in self.tables)
        return firsts == 0 and all(np.array_equal(a - a[0], b) for a, b in zip(terms, plain, strict=True))

    def _with(self, tables: Sequence[np.ndarray]) -> TensorView:
        return TensorView(self.source, self.source_shape, tuple(tables), self.offset)


_ZERO = np.zeros(1, np.int64)


def placed(name: str, sizes: Sequence[int], groups: Sequence[Sequence[int]]) -> TensorView:
    """The tensor of `sizes` that lies in planes `name`, whose axis i is all its axes in groups[i], joined in order."""
    joined = [prod(sizes[axis] for axis in group) for group in groups]
    shape = (joined[0], joined[1], joined[2])
    tables: list[np.ndarray] = [_ZERO] * len(sizes)
    for group, plain in zip(groups, identity_tables(shape), strict=True):
        step = int(plain[1] - plain[0]) if len(plain) > 1 else 0
        for axis in reversed(group):
            tables[axis] = np.arange(sizes[axis], dtype=np.int64) * step
            step *= sizes[axis]
    return TensorView(name, shape, tuple(tables))


def _regroup(old: Sequence[np.ndarray], sizes: Sequence[int]) -> list[np.ndarray] | None:
    """The terms of new axes of `sizes` (none 1) that hold the elements of the `old` ones in their order."""
    if prod(map(len, old)) == 0:
        return None
    tables: list[np.ndarray] = []
    waiting = list(reversed(old))
    wanted = list(sizes)
    while wanted:
        size = wanted.pop(0)
        table = waiting.pop()
        count = 1  # of the next new axes that the elements at hand make up together
        ends = [size]
        while len(table) != prod(ends):
            if len(table) < prod(ends):
                table = add_terms(table, waiting.pop())
            else:
                ends.append(wanted.pop(0))
                count += 1
        for inner in range(1, count):
            halves = split_terms(table, prod(ends[inner:]))
            if halves is None:
                return None
            outer, table = halves
            tables.append(outer)
        tables.append(table)
    return tables
