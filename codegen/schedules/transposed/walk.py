"""The loop over a list's entries, as both kernels of transposed convolutions write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.vectors import Vector
from codegen.schedules.transposed.lists import PhaseLists


class ListWalk:
    """Registers of the loop over a list, and the loop.

    Args:
        frame: the function, with the constants of `PhaseLists.constants` among its arguments.
        vectors: of a tile.
    """

    def __init__(self, frame, lists: PhaseLists, vector: Vector, vectors: int) -> None:
        self.frame, self.lists, self.vector, self.vectors = frame, lists, vector, vectors
        self.bounds = registers(2, "int32", "bounds")
        self.at = registers(1, "int32", "at")
        self.loaded = registers(vectors, vector.type, "loaded")
        self.factor = registers(1, vector.type, "factor")

    def start(self, sums, block) -> None:
        """Accumulators [filter][vector] start from the bias."""
        filters = self.lists.blocks.filters
        for f in range(filters):
            for v in range(self.vectors):
                put(sums, f * self.vectors + v, self.vector.splat(self.frame["bias"][block * filters + f]))

    def add(self, sums, block, phase, phases: int, load: Callable[[object, int], object]) -> None:
        """Every accumulator gains its list's products.

        Args:
            phase: number of the phase, of `phases`.
            load: (offset of an entry, number of a vector) -> the vector it multiplies.
        """
        for end in (0, 1):
            put(self.bounds, end, self.frame["starts"][block * phases + phase + end])
        with T.serial(0, self.bounds[1] - self.bounds[0]) as number:
            entry = self.bounds[0] + number
            place = entry - block * self.lists.block_entries if self.lists.shared else entry
            put(self.at, 0, self.frame["offset"][place])
            for v in range(self.vectors):
                put(self.loaded, v, load(self.at[0], v))
            self._multiply(sums, entry)

    def _multiply(self, sums, entry) -> None:
        filters = self.lists.blocks.filters
        for f in range(filters):
            put(self.factor, 0, self.vector.splat(self.frame["weight"][entry * filters + f]))
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
