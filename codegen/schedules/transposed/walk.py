"""The loop over a list's entries, as both kernels of transposed convolutions write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.vectors import Vector
from codegen.schedules.transposed.lists import PhaseLists

#: entries of a list per turn of the loop
UNROLL = 4


class ListWalk:
    """Registers of the loop over a list, and the loop.

    Args:
        frame: the function, with the constants of `PhaseLists.constants` among its arguments.
        vectors: of a tile.
    """

    def __init__(self, frame, lists: PhaseLists, vector: Vector, vectors: int) -> None:
        self.frame, self.lists, self.vector, self.vectors = frame, lists, vector, vectors
        self.at = registers(1, "int32", "at")
        self.loaded = registers(vectors, vector.type, "loaded")
        self.factor = registers(1, vector.type, "factor")

    def start(self, sums, block) -> None:
        """Accumulators [filter][vector] start from the bias."""
        filters = self.lists.blocks.filters
        for f in range(filters):
            for v in range(self.vectors):
                put(sums, f * self.vectors + v, self.vector.splat(self.frame["bias"][block * filters + f]))

    def add(self, sums: Sequence, block, lists: Sequence, load: Callable[[object, int], object]) -> None:
        """The accumulators sums[i] gain the products of list lists[i], all lists at a time: the products of one do not
        wait for each other then.

        Args:
            sums: as many accumulators as lists.
            lists: the lists' phases, as they count through a block's lists.
            load: (offset of an entry, number of a vector) -> the vector it multiplies.
        """
        count, phases = len(sums), len(self.lists.lengths[0])
        bounds = registers(2 * count, "int32", "bounds")
        for number, phase in enumerate(lists):
            for end in (0, 1):
                put(bounds, 2 * number + end, self.frame["starts"][block * phases + phase + end])
        together = bounds[1] - bounds[0]
        for number in range(1, count):
            together = T.min(together, bounds[2 * number + 1] - bounds[2 * number])
        shortest = registers(1, "int32", "shortest")
        put(shortest, 0, together)
        with T.serial(0, shortest[0] // UNROLL) as turn:
            for step in range(UNROLL):
                for number in range(count):
                    self._add_entry(sums[number], block, bounds[2 * number] + (turn * UNROLL + step), load)
        with T.serial(0, shortest[0] % UNROLL) as step:
            for number in range(count):
                last = bounds[2 * number] + (shortest[0] // UNROLL * UNROLL + step)
                self._add_entry(sums[number], block, last, load)
        if count > 1 and not self.lists.even:
            for number in range(count):
                with T.serial(0, bounds[2 * number + 1] - bounds[2 * number] - shortest[0]) as step:
                    self._add_entry(sums[number], block, bounds[2 * number] + shortest[0] + step, load)

    def _add_entry(self, sums, block, entry, load: Callable[[object, int], object]) -> None:
        place = entry - block * self.lists.block_entries if self.lists.shared else entry
        put(self.at, 0, self.frame["offset"][place])
        for v in range(self.vectors):
            put(self.loaded, v, load(self.at[0], v))
        self._multiply(sums, entry)

    def _multiply(self, sums, entry) -> None:
        filters = self.lists.blocks.filters
        for f in range(filters):
            put(self.factor, 0, self.vector.splat(self.frame["weight"][T.Cast("int64", entry * filters) + f]))
            for v in range(self.vectors):
                at = f * self.vectors + v
                put(sums, at, sums[at] + self.loaded[v] * self.factor[0])


def weave(vector: Vector, values: Sequence) -> list:
    """The vectors in which the elements of several ones take turns: values[0][0], values[1][0], ..., values[0][1], ...

    Args:
        values: as many cheap expressions as vectors are wanted; one for each phase along a row.
    """
    count, lanes = len(values), vector.lanes
    if count == 1:
        return list(values)
    if count == 2:
        return list(vector.interleave(*values))
    woven = []
    for number in range(count):
        sources = [divmod(number * lanes + lane, count) for lane in range(lanes)]  # (lane, phase) of each element
        result = values[0]
        for phase in range(count):
            order = [lanes + lane if of == phase else at for at, (lane, of) in enumerate(sources)]
            result = vector.shuffle(result, values[phase], order)
        woven.append(result)
    return woven
