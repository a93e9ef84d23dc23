"""ListStream: multiply-adds of a list of kept columns by pointers into the list's offsets and weights, and one into the
input for each entry.

Compiled by Mesa for an Adreno 730,
8 filters x 2 vectors then reach .96 of the dense kernel's share of multiply-adds in half precision, .94 in float32.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.schedules.sparse_tiles import TallAccumulators, Window
from codegen.schedules.streaming.entries import EntryPointers


class ListStream:
    """A filter group's list on one pixel tile.

    Args:
        frame: the function, whose constants are "offset", in bytes, and "weight".
        window: what offsets are into; it holds no lanes back.
        sums: the group's accumulators.
        channels: neighbouring channels of an entry.
    """

    def __init__(self, frame, window: Window, sums: TallAccumulators, channels: int = 1) -> None:
        self.frame, self.window, self.sums, self.channels = frame, window, sums, channels
        self.loaded = registers(sums.rows.height * sums.rows.width, sums.products.type, "loaded")

    def add(self, first, count, base, turn: int) -> None:
        """The products of `count` entries (a number, or an expression) from entry `first` on.

        Args:
            base: of the tile's first pixel, see `Window.base`.
            turn: entries per turn of the loop.
        """
        weights_of_entry = self.channels * self.sums.filters
        place = (self.window.name, base, first, first * weights_of_entry)
        self.pointers = EntryPointers(self.frame, self.window.vector, *place)
        known = isinstance(count, int)
        turn = min(turn, count) if known else turn
        with T.serial(0, count // turn):
            self._add_entries(turn)
        if known:
            if count % turn:
                self._add_entries(count % turn)
        elif turn > 1:
            with T.serial(0, count % turn):
                self._add_entries(1)

    def _add_entries(self, count: int) -> None:
        """The next `count` entries; the pointers are behind them afterwards."""
        filters, (height, width) = self.sums.filters, (self.sums.rows.height, self.sums.rows.width)
        for source, weight in self.pointers.entries(count, self.channels * filters):
            for channel in range(self.channels):
                for row in range(height):
                    for v in range(width):
                        value = self.window.load_from(source, row, v, channel * self.window.channel)
                        put(self.loaded, row * width + v, self.sums.operand(value))
                vectors = [[self.loaded[row * width + v] for v in range(width)] for row in range(height)]
                self.sums.multiply([weight(channel * filters + f) for f in range(filters)], vectors)
        self.sums.settle()
