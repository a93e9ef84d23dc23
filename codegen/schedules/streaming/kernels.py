"""How a work-item reads the kept kernels of a filter one after the other, the weights and the place of the input
channel of each: by indices, or by pointers that advance.

Offsets are in bytes for pointers, as in `codegen.schedules.streaming.lists`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codegen.kernels.builder import put, registers
from codegen.kernels.pointers import BYTES, Pointer
from codegen.kernels.rows import RowTiles, held_size
from codegen.kernels.workload import Workload
from codegen.schedules.sparse_tiles import Window
from codegen.schedules.streaming.strip import ConstantStrip
from devices.profile import Profile
from models.plans.sparsity import PATTERN_ENTRIES

#: (vector of the tile, elements behind the kernel's first one) -> the input vector there
Load = Callable[[int, int], Any]


def streams_kernels(workload: Workload, rows: RowTiles, profile: Profile) -> bool:
    """Whether kernels are read by pointers: on a GPU, but where lanes have to be held back."""
    return profile.streams and held_size(workload, rows) is None


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

    def kernel(self, number) -> tuple[Sequence, Load]:
        """The weights of kernel `number` of the run, and how its input is read."""
        place = self.first + number
        put(self.at, 0, self.frame["offset"][place] + self.base)
        weights = [self.frame["weight"][place * PATTERN_ENTRIES + tap] for tap in range(PATTERN_ENTRIES)]
        return weights, lambda v, further: self.window.load(self.at[0], 0, v, further)

    def advance(self) -> None:
        """Indices do not move."""


class KernelPointers:
    """The kernels of a run, one after the other, by pointers; arguments as for `KernelIndices`."""

    def __init__(self, frame, window: Window, first, base) -> None:
        self.window = window
        self.origin = Pointer.to(frame, window.name, base, BYTES)
        self.offsets = Pointer.to(frame, "offset", first)
        self.weights = Pointer.to(frame, "weight", first * PATTERN_ENTRIES)

    def kernel(self, _number) -> tuple[ConstantStrip, Load]:
        """The weights of the next kernel, and how its input is read."""
        source = self.origin.behind(self.offsets[0], self.window.vector.dtype)
        weights = ConstantStrip(self.weights, PATTERN_ENTRIES, self.window.vector.lanes)
        return weights, lambda v, further: self.window.load_from(source, 0, v, further)

    def advance(self) -> None:
        """Statements: both pointers go on to the next kernel."""
        self.offsets.advance(1)
        self.weights.advance(PATTERN_ENTRIES)
