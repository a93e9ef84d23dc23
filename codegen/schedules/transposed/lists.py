"""The lists of multiply-adds that kernels of transposed convolutions walk: one for each filter block and phase.

A phase is a residue of the output's row and column modulo the strides; see `models.graph.transposed`. An entry of a
list is an input channel at a kernel position of the phase: an offset into the input, and a weight for each filter of
the block. Entries whose weights are all zero are left out, so that dense and sparse layers run the same kernel. Where
every block reads the same channels and positions, which is so in a dense layer, the offsets are stored once for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codegen.kernels.workload import Weights
from codegen.schedules.products import FilterBlocks
from models.graph.layer import Layer
from models.graph.transposed import phase_taps

#: arrays of (channel, rows' shift, columns' shift) -> their offsets in the input
Offsets = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class PhaseLists:
    """The entries of all lists, block by block, in each phase by phase, in each by channel and position.

    Attributes:
        blocks: the layer's filters.
        starts: int32 [blocks x phases + 1]: where each list begins.
        weight: [entries, filters].
        offset: int32, of every entry, or of the first block's alone where `shared`.
        shared: all blocks have the same offsets.
    """

    blocks: FilterBlocks
    starts: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    shared: bool

    @classmethod
    def of(cls, layer: Layer, weight: np.ndarray, filters: int, offsets: Offsets) -> PhaseLists:
        """The lists of a weight (out, in / groups, kernel height, kernel width), by blocks of `filters`."""
        blocks = FilterBlocks.of(layer, filters)
        packed = blocks.pack(Weights(weight))["weight"]
        values = packed.reshape(blocks.count, blocks.channels, *layer.kernel, filters)
        starts, weights, places = [0], [], []
        for block in range(blocks.count):
            first = int(blocks.first_channel(block))
            for taps in phases(layer):
                chosen = values[block][:, taps[:, 0], taps[:, 1]]  # (channels, taps, filters)
                channel, tap = np.nonzero(chosen.any(axis=2))
                weights.append(chosen[channel, tap])
                places.append(offsets(first + channel, taps[tap, 2], taps[tap, 3]).astype(np.int32))
                starts.append(starts[-1] + len(channel))
        offset, of_block = np.concatenate(places), starts[len(phases(layer))]
        by_block = offset.reshape(blocks.count, -1) if of_block * blocks.count == len(offset) else offset[None]
        shared = len(by_block) == blocks.count > 1 and bool((by_block == by_block[0]).all())
        starts_equal = np.array(starts[:-1]).reshape(blocks.count, -1) - np.arange(blocks.count)[:, None] * of_block
        shared = shared and bool((starts_equal == starts_equal[0]).all())
        return cls(
            blocks, np.array(starts, np.int32), np.concatenate(weights), by_block[0] if shared else offset, shared
        )

    def constants(self, weights: Weights, unit: int) -> dict[str, np.ndarray]:
        """Constant arguments of a kernel; none of them is empty. Offsets are multiplied by `unit`."""
        blocks = self.blocks
        bias = np.zeros((blocks.groups, blocks.of_group * blocks.filters), np.float32)
        own = weights.bias_or_zero(blocks.groups * blocks.per_group)
        bias[:, : blocks.per_group] = own.reshape(blocks.groups, blocks.per_group)
        arrays = {
            "weight": self.weight.ravel(),
            "bias": bias.ravel(),
            "offset": self.offset * np.int32(unit),
            "starts": self.starts,
        }
        return {name: array if array.size else np.zeros(1, array.dtype) for name, array in arrays.items()}

    @property
    def lengths(self) -> np.ndarray:
        """Entries of each list, (blocks, phases)."""
        return np.diff(self.starts).reshape(self.blocks.count, -1)

    @property
    def even(self) -> bool:
        """Whether the phases of a block and row have as many entries each, so that loops over them end together."""
        return bool((self.lengths == self.lengths[:, :1]).all())

    @property
    def block_entries(self) -> int:
        """Entries of a block, where the offsets are shared."""
        return len(self.offset)


def phases(layer: Layer) -> list[np.ndarray]:
    """Of each phase, row phases outermost, its positions as rows of (ky, kx, rows' shift, columns' shift)."""
    rows, columns = ([phase_taps(layer, axis, phase) for phase in range(layer.stride[axis])] for axis in (0, 1))
    return [
        np.array([(ky, kx, y, x) for ky, y in row for kx, x in column], np.int64).reshape(-1, 4)
        for row in rows
        for column in columns
    ]
