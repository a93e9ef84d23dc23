"""Gatherer: finds the two numbers of `statistics` in a kernel, of the elements of a part and of a cell's parts."""

from __future__ import annotations

from collections.abc import Callable

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, put, registers
from codegen.kernels.vectors import Vector
from codegen.schedules.reductions.cells import Cells, Place
from codegen.schedules.reductions.statistics import Statistics


class Gatherer:
    """Writes what finds statistics, vector by vector of a tile, into registers.

    Args:
        frame: of the function, whose input is "in0".
        cells: what is combined.
        statistics: how; its vector is of float32.
        vector: of the elements.
    """

    def __init__(self, frame, cells: Cells, statistics: Statistics, vector: Vector) -> None:
        self.frame, self.cells, self.statistics, self.vector = frame, cells, statistics, vector
        self.sums = statistics.vector
        self.width = cells.tile.vectors

    def column(self, across, number):
        """First column of a vector of a tile."""
        return (across * self.width + number) * self.vector.lanes

    def load(self, channel, row, across, number):
        """Elements as float32."""
        index = self.cells.source.index(channel, row, self.column(across, number))
        return self.sums.convert(self.vector.load(self.frame["in0"], index), self.vector.dtype)

    def combine(self, place: Place) -> tuple:
        """The two numbers of a part; a loop over its elements for each."""
        statistics = self.statistics
        first, second = self._start()
        if statistics.first:
            self._visit(place, first, lambda _, x: x, statistics.combine, statistics.start())
            if statistics.first == "mean":
                reciprocal = self._reciprocal(self.cells.size_of_part(place))
                for v in range(self.width):
                    put(first, v, first[v] * reciprocal)
        if statistics.has_second:
            self._visit(place, second, lambda v, x: statistics.term(x, first[v]), _add, self.sums.splat(0))
        return first, second

    def join(self, place: Place) -> tuple:
        """The two numbers of a cell from those of its parts, which `keep` stored as "part"."""
        first, second = self._start()
        if self.statistics.first:
            self._every_part(place, lambda part: self._gain_first(part, first))
        if self.statistics.has_second:
            self._every_part(place, lambda part: self._gain_second(part, first, second))
        return first, second

    def keep(self, name: str, cells: Cells, place: Place, first, second) -> None:
        """Store both numbers of a place in the buffers NAME_first and NAME_second, where there are such."""
        for which, numbers in (("first", first), ("second", second)):
            for v in range(self.width if f"{name}_{which}" in self.frame.buffers else 0):
                emit(self.sums.store(numbers[v], self.frame[f"{name}_{which}"], cells.index(place, v)))

    def recall(self, name: str, cells: Cells, place: Place) -> tuple:
        """The two numbers that `keep` stored, in registers."""
        first, second = self._start()
        for which, numbers in (("first", first), ("second", second)):
            for v in range(self.width if f"{name}_{which}" in self.frame.buffers else 0):
                put(numbers, v, self.sums.load(self.frame[f"{name}_{which}"], cells.index(place, v)))
        return first, second

    def _start(self) -> tuple:
        first, second = (registers(self.width, self.sums.type, name) for name in ("first", "second"))
        for v in range(self.width):
            put(first, v, self.statistics.start() if self.statistics.first else self.sums.splat(0))
            put(second, v, self.sums.splat(0))
        return first, second

    def _reciprocal(self, size):
        """1 / a number of elements."""
        if isinstance(size, int):
            return self.sums.splat(1.0 / size)
        return self.sums.splat(self.sums.scalar(1.0) / T.Cast(self.sums.dtype, size))

    def _visit(self, place: Place, numbers, term: Callable, combine: Callable, neutral) -> None:
        """numbers[v] = combine(numbers[v], term(v, x)) for every element x of a part, and over lanes."""
        loaded = registers(1, self.sums.type, "loaded")

        def body(channel, row, across, v, column) -> None:
            put(loaded, 0, self.load(channel, row, across, v))
            value = term(v, loaded[0])
            if column is not None:
                value = self.sums.choose(self.sums.integers(column - self.cells.source.width), value, neutral)
            put(numbers, v, combine(numbers[v], value))

        self.cells.visit(place, body)
        lanes = self.sums.lanes
        step = lanes // 2 if self.cells.along_rows else 0
        while step:
            order = [(lane + step) % lanes for lane in range(lanes)]
            put(numbers, 0, combine(numbers[0], self.sums.shuffle(numbers[0], numbers[0], order)))
            step //= 2

    def _every_part(self, place: Place, body: Callable[[Place], None]) -> None:
        with T.serial(0, self.cells.plane_parts) as planes, T.serial(0, self.cells.line_parts) as lines:
            body(Place(place.channel, place.row, place.across, planes, lines))

    def _part(self, which: str, place: Place, number: int):
        return self.sums.load(self.frame[f"part_{which}"], self.cells.index(place, number))

    def _gain_first(self, place: Place, first) -> None:
        share = T.Cast(self.sums.dtype, self.cells.size_of_part(place)) * self.sums.scalar(1 / self.statistics.count)
        for v in range(self.width):
            value = self._part("first", place, v)
            value = value * self.sums.splat(share) if self.statistics.first == "mean" else value
            put(first, v, self.statistics.combine(first[v], value))

    def _gain_second(self, place: Place, first, second) -> None:
        count = self.sums.splat(T.Cast(self.sums.dtype, self.cells.size_of_part(place)))
        for v in range(self.width):
            part_first = self._part("first", place, v) if self.statistics.first else first[v]
            joined = self.statistics.joined(self._part("second", place, v), part_first, first[v], count)
            put(second, v, second[v] + joined)


def _add(a, b):
    return a + b
