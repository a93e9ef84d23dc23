"""The lists of kept columns that the sparse schedule "columns" walks, made of a layer's weight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codegen.kernels.pack import PackedColumns, pack_columns
from codegen.kernels.workload import Weights, Workload
from codegen.schedules.packing.copied_window import copy_offsets
from codegen.schedules.phases import Phases
from codegen.schedules.sparse_tiles import plane_offsets
from models.graph.layer import Layer


@dataclass(frozen=True)
class ColumnLists:
    """The lists of a layer's filter groups, as the kernel reads them.

    Attributes:
        packed: an entry's `channel` is its number among `first`; its weights are [channel of the entry][filter].
        first: first input channel of each block of channels, counted within a group of the convolution. The last block
            begins lower where it would reach beyond the group; what it shares with the one before has zero weights.
        channels: of an entry.
    """

    packed: PackedColumns
    first: np.ndarray
    channels: int

    @classmethod
    def of(
        cls, weight: np.ndarray, filters: int, channels: int = 1, order: str = "channel", longest_first: bool = False
    ) -> ColumnLists:
        """The lists of a weight (out, in / groups, kernel height, kernel width).

        Args:
            filters: of a group of the kernel; in a convolution of several groups they divide those of each.
            channels: of an entry, at most those that a filter reads.
            order, longest_first: as for `pack_columns`.
        """
        out, whole, height, width = weight.shape
        blocks = -(-whole // channels)
        nominal = np.arange(blocks) * channels
        first = np.minimum(nominal, whole - channels)
        taken = first[:, None] + np.arange(channels)
        groups = -(-out // filters)
        padded = np.zeros((groups * filters, blocks, channels, height, width), np.float32)
        padded[:out] = weight[:, taken] * (taken >= nominal[:, None])[:, :, None, None]
        by_group = padded.reshape(groups, filters, blocks, channels, height, width)
        rows = by_group.transpose(0, 3, 1, 2, 4, 5).reshape(-1, blocks, height, width)
        packed = pack_columns(rows, channels * filters, order, longest_first)
        return cls(packed, first, channels)

    @cached_property
    def is_sorted(self) -> bool:
        """The groups do not follow each other as the filters do."""
        return bool((np.diff(self.packed.groups) < 0).any())

    def row_channels(self, layer: Layer) -> np.ndarray | None:
        """Kernel.channels of the packed weights: a row has one weight for each filter of a group."""
        if layer.groups > 1:
            return None
        channels = self.first[self.packed.channel][:, None] + np.arange(self.channels)
        return channels.ravel().astype(np.int32)

    def constants(
        self,
        workload: Workload,
        weights: Weights,
        filters: int,
        phases: Phases | None = None,
        copied: tuple[int, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Constant arguments of the kernel; none of them empty.

        Args:
            phases: what offsets are into, where there are any.
            copied: (vectors, rows) of a tile; offsets are into the copy of what it reads.
        """
        packed, width = self.packed, workload.layer.kernel[1]
        groups, out = len(packed.groups), workload.layer.out_shape[0]
        bias = np.zeros(groups * filters, np.float32)
        bias[:out] = weights.bias_or_zero(out)
        arrays = {"weight": packed.weight.ravel(), "bias": bias.reshape(groups, filters)[packed.groups].ravel()}
        ky, kx = np.divmod(packed.position, width)
        channel = self.first[packed.channel] + self._group_starts(workload.layer, filters)
        if copied is None:
            arrays["offset"] = plane_offsets(workload, channel, ky, kx, phases)
        else:
            arrays["offset"] = copy_offsets(workload, copied, channel, ky, kx)
        if packed.common_length is None:
            arrays["starts"] = packed.starts
        if self.is_sorted:
            arrays["groups"] = packed.groups
        return {name: array if array.size else np.zeros(1, array.dtype) for name, array in arrays.items()}

    def _group_starts(self, layer: Layer, filters: int) -> np.ndarray:
        """The first input channel of the convolution's group that each entry is of."""
        packed = self.packed
        group = packed.groups.repeat(packed.lengths) * filters // filters_of_group(layer)
        return group * layer.weight_shape[1]


def filters_of_group(layer: Layer) -> int:
    """Filters of each group of a convolution."""
    return layer.out_shape[0] // layer.groups
