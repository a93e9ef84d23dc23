"""How a work-item reads the kept kernels of a filter one after the other, the weights and the place of the input
channel of each: by indices, or by pointers that advance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from codegen.kernels.builder import put, registers
from codegen.kernels.pointers import Pointer
from codegen.schedules.sparse_tiles import Window
from codegen.schedules.streaming.entries import EntryPointers
from models.plans.sparsity import PATTERN_ENTRIES

#: (vector of the tile, elements behind the kernel's first one) -> the input vector there
Load = Callable[[int, int], Any]
#: the weights of a kernel by number, and how its input is read
KernelOperands = tuple[Callable[[int], Any], Load]


class KernelIndices:
    """The kernels of a run by their numbers.

    Args:
        frame: the function, whose constants are "offset" and "weight".
        window: what offsets are into.
        first: number of the run's first kernel.
        base: of the tile's first pixel, see `Window.base`.
    """

    def __init__(self, frame, window: Window, first, base) -> None:
        self.frame, self.window, self.first, self.base = frame, window, first, base
        self.at = registers(1, "int32", "at")

    def turn(self, number) -> Iterator[KernelOperands]:
        """Kernel `number` of the run."""
        place = self.first + number
        put(self.at, 0, self.frame["offset"][place] + self.base)

        def weight(tap: int):
            return self.frame["weight"][place * PATTERN_ENTRIES + tap]

        yield weight, lambda v, further: self.window.load(self.at[0], 0, v, further)


class KernelPointers:
    """The kernels of a run, one after the other, by pointers; offsets are in bytes. Arguments as of `KernelIndices`."""

    def __init__(self, frame, window: Window, first, base) -> None:
        self.window = window
        self.pointers = EntryPointers(frame, window.vector, window.name, base, first, first * PATTERN_ENTRIES)

    def turn(self, _number) -> Iterator[KernelOperands]:
        """The next kernel; the pointers are behind it afterwards."""
        for source, weight in self.pointers.entries(1, PATTERN_ENTRIES):

            def load(v: int, further: int, source: Pointer = source):
                return self.window.load_from(source, 0, v, further)

            yield weight, load
