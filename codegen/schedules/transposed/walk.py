"""The loop over a list's entries, as both kernels of transposed convolutions write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.pointers import Pointer
from codegen.kernels.vectors import Vector
from codegen.schedules.streaming.entries import EntryPointers
from codegen.schedules.transposed.lists import PhaseLists

#: entries of a list per turn of the loop
UNROLL = 4


class ListWalk:
    """Registers of the loop over a list, and the loop.

    Args:
        frame: the function, with the constants of `PhaseLists.constants` among its arguments.
        vectors: of a tile.
        name: the buffer that offsets are into.
    """

    def __init__(self, frame, lists: PhaseLists, vector: Vector, vectors: int, name: str) -> None:
        self.frame, self.lists, self.vector, self.vectors, self.name = frame, lists, vector, vectors, name
        self.loaded = registers(vectors, vector.type, "loaded")
        self.factor = registers(1, vector.type, "factor")

    def start(self, sums, block) -> None:
        """Accumulators [filter][vector] start from the bias."""
        filters = self.lists.blocks.filters
        for f in range(filters):
            for v in range(self.vectors):
                put(sums, f * self.vectors + v, self.vector.splat(self.frame["bias"][block * filters + f]))

    def add(self, sums: Sequence, block, lists: Sequence, base) -> None:
        """The accumulators sums[i] gain the products of list lists[i], all lists at a time: the products of one do not
        wait for each other then.

        Args:
            sums: as many accumulators as lists.
            lists: the lists' phases, as they count through a block's lists.
            base: elements to be added to an offset for the tile's first vector.
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
        reader = StreamedList if self.frame.profile.streams else IndexedList
        readers = [reader(self, block, bounds[2 * number], base) for number in range(count)]
        with T.serial(0, shortest[0] // UNROLL) as turn:
            for number in range(count):
                readers[number].add(sums[number], turn * UNROLL, UNROLL)
        with T.serial(0, shortest[0] % UNROLL) as step:
            for number in range(count):
                readers[number].add(sums[number], shortest[0] // UNROLL * UNROLL + step, 1)
        if count > 1 and not self.lists.even:
            for number in range(count):
                with T.serial(0, bounds[2 * number + 1] - bounds[2 * number] - shortest[0]) as step:
                    readers[number].add(sums[number], shortest[0] + step, 1)

    def place(self, block, entry):
        """Where the offset of an entry lies among those that are stored."""
        return entry - block * self.lists.block_entries if self.lists.shared else entry

    def multiply(self, sums, load: Callable[[int], object], weights: Sequence) -> None:
        """The products of an entry: load(number) gives vectors of its input, of `weights` each filter has one."""
        for v in range(self.vectors):
            put(self.loaded, v, load(v))
        for f, weight in enumerate(weights):
            put(self.factor, 0, self.vector.splat(weight))
            for v in range(self.vectors):
                at = f * self.vectors + v
                put(sums, at, sums[at] + self.loaded[v] * self.factor[0])


class IndexedList:
    """The entries of a list by their numbers.

    Args:
        walk: whose registers they are multiplied in.
        block, first: the filter block, and the number of the list's first entry.
        base: as for `ListWalk.add`.
    """

    def __init__(self, walk: ListWalk, block, first, base) -> None:
        self.walk, self.block, self.first, self.base = walk, block, first, base
        self.at = registers(1, "int32", "at")

    def add(self, sums, number, count: int) -> None:
        """The products of `count` entries from `number` of the list on."""
        walk, filters = self.walk, self.walk.lists.blocks.filters
        buffer = walk.frame[walk.name]
        for step in range(count):
            entry = self.first + (number + step)
            put(self.at, 0, walk.frame["offset"][walk.place(self.block, entry)])
            weights = [walk.frame["weight"][T.Cast("int64", entry * filters) + f] for f in range(filters)]

            def load(v: int):
                return walk.vector.load(buffer, self.at[0] + self.base + v * walk.vector.lanes)

            walk.multiply(sums, load, weights)


class StreamedList:
    """The entries of a list one after the other, by pointers; offsets are in bytes. Arguments as for `IndexedList`."""

    def __init__(self, walk: ListWalk, block, first, base) -> None:
        self.walk, self.filters = walk, walk.lists.blocks.filters
        weight = T.Cast("int64", first * self.filters)
        self.pointers = EntryPointers(walk.frame, walk.vector, walk.name, base, walk.place(block, first), weight)

    def add(self, sums, _number, count: int) -> None:
        """The products of the next `count` entries; the pointers are behind them afterwards."""
        for source, weight in self.pointers.entries(count, self.filters):

            def load(v: int, source: Pointer = source):
                return self.walk.vector.load(source, v * self.walk.vector.lanes)

            self.walk.multiply(sums, load, [weight(f) for f in range(self.filters)])


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
