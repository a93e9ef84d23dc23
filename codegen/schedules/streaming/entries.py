"""EntryPointers: the entries of a list, one after the other: of each where its input lies, and its weights.

Offsets are in bytes: one in elements would cost each entry a shift of 64 bits; and they are read as unsigned, since a
sign would have to be extended to 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tvm.tirx import Cast

from codegen.kernels.pointers import BYTES, Pointer
from codegen.kernels.vectors import Vector
from codegen.schedules.streaming.strip import ConstantStrip

#: offsets of one load
OFFSETS = 4


class EntryPointers:
    """Pointers into a list's offsets and weights, and to what the offsets are from.

    Args:
        frame: the function, whose constants are "offset", in bytes, and "weight".
        vector: the type of what is read.
        name: the buffer that offsets are into; base: the element that they are from.
        offset, weight: places of the first entry's offset and of its first weight.
    """

    def __init__(self, frame, vector: Vector, name: str, base, offset, weight) -> None:
        self.vector = vector
        self.origin = Pointer.to(frame, name, base, BYTES)
        self.offsets = Pointer.to(frame, "offset", offset)
        self.weights = Pointer.to(frame, "weight", weight)

    def entries(self, count: int, weights: int) -> Iterator[tuple[Pointer, Callable[[int], Any]]]:
        """The next `count` entries of `weights` numbers each: a pointer to an entry's input, and its weights by number.

        The pointers are behind them afterwards.
        """
        offsets = ConstantStrip(self.offsets, count, OFFSETS)
        strip = ConstantStrip(self.weights, count * weights, self.vector.lanes)
        for entry in range(count):
            source = self.origin.behind(Cast("uint32", offsets[entry]), self.vector.dtype)

            def weight(number: int, first: int = entry * weights):
                return strip[first + number]

            yield source, weight
        self.offsets.advance(count)
        self.weights.advance(count * weights)
