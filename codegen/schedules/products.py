"""What dense convolution schedules share: filter blocks, their packed weights, and the loop of multiply-adds.

A work-item keeps `filters` x `vectors` accumulators: `filters` output channels of `vectors` neighbouring vectors of a
row. Each input channel and kernel position costs `vectors` loads and filters x vectors multiply-adds, its weights being
uniform over the work-item. Weights lie [group][filter block][channel][ky][kx][filter], read strictly forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.epilogue import finish, initial_addend
from codegen.kernels.rows import RowTiles, load_window
from codegen.kernels.sums import Sums
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Weights, Workload
from codegen.schedules.order import TileOrder
from models.graph.layer import Layer

#: kernels with more positions than this loop over their rows: unrolled, they take the OpenCL compiler seconds
UNROLLED_POSITIONS = 25
#: (channel, row, tile along the row, vector of the tile, (ky, kx)) -> the input vector a multiply-add needs
Load = Callable[..., object]


@dataclass(frozen=True)
class FilterBlocks:
    """The output channels of a layer in blocks of `filters`, group by group; a group's last block may be part empty.

    Attributes:
        groups: the layer's groups.
        per_group: output channels of a group.
        channels: input channels of a group.
        positions: of the kernel.
        filters: per block.
    """

    groups: int
    per_group: int
    channels: int
    positions: int
    filters: int

    @classmethod
    def of(cls, layer: Layer, filters: int) -> FilterBlocks:
        groups = layer.groups
        positions = layer.kernel[0] * layer.kernel[1]
        return cls(groups, layer.out_shape[0] // groups, layer.in_shapes[0][0] // groups, positions, filters)

    @property
    def of_group(self) -> int:
        """Blocks of one group."""
        return -(-self.per_group // self.filters)

    @property
    def count(self) -> int:
        return self.groups * self.of_group

    @property
    def constants(self) -> dict[str, int]:
        """Elements of each constant argument."""
        return {
            "weight": self.count * self.channels * self.positions * self.filters,
            "bias": self.count * self.filters,
        }

    @property
    def row_channels(self) -> np.ndarray | None:
        """Kernel.channels of packed weights: a row has one weight for each filter of a block."""
        rows = np.tile(np.arange(self.channels).repeat(self.positions), self.count)
        return rows.astype(np.int32) if self.groups == 1 else None

    def owned(self, block) -> list[tuple]:
        """(output channel, whether it exists) of each filter of a block; blocks count on through the groups."""
        within = block % self.of_group if self.of_group > 1 else 0
        first = block // self.of_group * self.per_group + within * self.filters
        sure = self.per_group % self.filters == 0
        return [(first + f, True if sure else within * self.filters + f < self.per_group) for f in range(self.filters)]

    def first_channel(self, block):
        """The input channel that a block's group begins with."""
        return block // self.of_group * self.channels if self.groups > 1 else 0

    def pack(self, weights: Weights) -> dict[str, np.ndarray]:
        """Weights as [group][block][channel][ky][kx][filter] and bias as [group][block][filter], flat; zeros where a
        block has no filter."""
        weight = weights.weight
        assert weight is not None
        groups, of_group, channels = self.groups, self.of_group, self.channels
        padded = np.zeros((groups, of_group * self.filters, channels, self.positions), np.float32)
        padded[:, : self.per_group] = weight.reshape(groups, self.per_group, channels, self.positions)
        packed = padded.reshape(groups, of_group, self.filters, channels, self.positions).transpose(0, 1, 3, 4, 2)
        bias = np.zeros((groups, of_group * self.filters), np.float32)
        bias[:, : self.per_group] = weights.bias_or_zero(groups * self.per_group).reshape(groups, self.per_group)
        return {"weight": np.ascontiguousarray(packed).ravel(), "bias": bias.ravel()}


class Accumulators:
    """The registers of one work-item, [filter][vector], and what is done to them.

    Args:
        load: how an input vector is read (default: from the layer's input).
    """

    def __init__(
        self,
        frame,
        workload: Workload,
        blocks: FilterBlocks,
        rows: RowTiles,
        vector: Vector,
        load: Load | None = None,
    ) -> None:
        self.frame, self.workload, self.blocks, self.rows, self.vector = frame, workload, blocks, rows, vector
        self._load = load or self._load_window
        self.sums = Sums(frame.profile, workload, vector, blocks.filters * rows.width)
        self.loaded = registers(rows.width, self.sums.products.type, "loaded")
        self.factor = registers(1, self.sums.products.type, "factor")

    def run(self, order: TileOrder, unroll: int = 1, late: bool = False) -> None:
        """Every tile of the work-item: products, epilogue, and the zeros around it.

        Args:
            order: of the grid that is open.
            unroll: see `add_products`.
            late: a leading addend is added after the products.
        """
        axes = self.frame.axes
        block = order.block(axes)
        with order.tile(axes) as (row, across):
            self.make(block, row, across, unroll, late)

    def make(self, block, row, across, unroll: int = 1, late: bool = False) -> None:
        """One tile of one filter block; arguments as for `run`."""
        owned, sums = self.blocks.owned(block), self.sums
        self.start(block, row, across, addend=not late)
        self.add_products(block, row, across, unroll)
        sums.finish()
        finish(self.frame, self.workload, sums.vector, self.rows, owned, sums.held, row, across, started=not late)
        self.rows.zero_borders(self.frame["out"], owned, row, across)

    def start(self, block, row, across, addend: bool = True) -> None:
        """Accumulators start from the bias, and from the addend where the epilogue begins with one and `addend`."""
        last = self.workload.layer.out_shape[0] - 1
        for f, (channel, _) in enumerate(self.blocks.owned(block)):
            for v in range(self.rows.width):
                start = self.sums.number(self.frame["bias"][block * self.blocks.filters + f])
                if addend:
                    # a part empty block's surplus filters read the last channel's addend; their sums are never stored
                    place = (T.min(channel, last), row, self.rows.column(across, v))
                    first = initial_addend(self.frame, self.workload, self.sums.vector, *place)
                    start = start if first is None else start + first
                self.sums.start(f * self.rows.width + v, start)

    def add_products(self, block, row, across, unroll: int = 1) -> None:
        """The loop over input channels, `unroll` at a time, and kernel positions."""
        whole = self.blocks.channels // unroll * unroll
        if whole:
            with T.serial(0, whole // unroll) as step:
                for number in range(unroll):
                    self._add_channel(block, step * unroll + number, row, across)
        for channel in range(whole, self.blocks.channels):
            self._add_channel(block, channel, row, across)

    def _load_window(self, *place):
        return load_window(self.frame["in0"], self.workload, self.vector, self.rows, *place)

    def _add_channel(self, block, channel, row, across) -> None:
        blocks, first = self.blocks, self.blocks.first_channel(block)
        for position, ky, kx in positions_of(self.workload.layer):
            for v in range(self.rows.width):
                put(self.loaded, v, self.sums.operand(self._load(first + channel, row, across, v, (ky, kx))))
            start = ((block * blocks.channels + channel) * blocks.positions + position) * blocks.filters
            self.multiply(self.frame["weight"][start + f] for f in range(blocks.filters))
            self.sums.settle()

    def multiply(self, weights: Iterable) -> None:
        """Every accumulator gains its filter's weight, of `weights`, times its vector. The splat goes through a
        register: used inline, the OpenCL compiler folds it into each product and loses a quarter of the speed."""
        width = self.rows.width
        for f, weight in enumerate(weights):
            put(self.factor, 0, self.sums.splat(weight))
            for v in range(width):
                self.sums.add(f * width + v, self.loaded[v] * self.factor[0])


def positions_of(layer: Layer) -> Iterator[tuple]:
    """(number, ky, kx) of each kernel position; a loop over ky in the kernel where unrolling would be too much."""
    height, width = layer.kernel
    if height * width > UNROLLED_POSITIONS:
        with T.serial(0, height) as ky:
            yield from ((ky * width + kx, ky, kx) for kx in range(width))
    else:
        yield from ((ky * width + kx, ky, kx) for ky in range(height) for kx in range(width))
