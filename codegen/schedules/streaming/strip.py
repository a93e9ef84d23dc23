"""ConstantStrip: packed constants that a loop reads one after the other, taken from memory by whole vectors.

Weights and offsets are equal for all work-items of a warp, and one load of a vector costs a GPU as much as one of a
number. A strip is loaded in vectors as wide as the device's loads, each when the first of its numbers is asked for, and
ends with narrower ones, so that nothing behind its last number is read.
"""

from __future__ import annotations

from typing import Any

from tvm.tirx import IntImm, Shuffle
from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.pointers import Pointer
from codegen.kernels.vectors import pieces


class ConstantStrip:
    """`count` constants on end, from where a pointer points to.

    Args:
        pointer: to the first one.
        count: how many there are.
        widest: lanes of the widest load.
    """

    def __init__(self, pointer: Pointer, count: int, widest: int) -> None:
        self.pointer = pointer
        self._pieces = [*pieces(count, widest)]
        self._registers: dict[int, Any] = {}

    def __getitem__(self, number: int):
        """Constant `number`, as an expression that is cheap to repeat."""
        first, lanes = next(piece for piece in self._pieces if piece[0] <= number < piece[0] + piece[1])
        if first not in self._registers:
            self._registers[first] = self._load(first, lanes)
        held = self._registers[first]
        return held[0] if lanes == 1 else Shuffle([held[0]], [IntImm("int32", number - first)])

    def _load(self, first: int, lanes: int):
        """A register that holds `lanes` constants from number `first` on."""
        name, dtype = self.pointer.stem, self.pointer.dtype
        kind = dtype if lanes == 1 else f"{dtype}x{lanes}"
        held = registers(1, kind, f"{name}s")
        address = self.pointer.address(first)
        put(held, 0, self.pointer[first] if lanes == 1 else T.call_pure_extern(kind, f"vload{lanes}", 0, address))
        return held
