"""StreamingAccumulators: dense multiply-adds by two pointers, one into the input and one into the weights.

Within a turn of the loop every access lies at a constant distance from one of them. Compiled by Mesa for a Mali-G76 and
an Adreno 730, a 1x1 kernel of 8 filters then spends two thirds of its instructions on multiply-adds, where indices and
single weights left a quarter and a third.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put
from codegen.kernels.pointers import Pointer
from codegen.kernels.rows import RowTiles, reads_by_pointers
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from codegen.schedules.products import UNROLLED_POSITIONS, Accumulators, FilterBlocks
from codegen.schedules.streaming.strip import ConstantStrip


class WindowPointer:
    """The input vectors of a tile's window, by a pointer to the window's first element.

    Args:
        place: (channel, input row, tile along the row) that the pointer is set to.
    """

    def __init__(self, frame, workload: Workload, vector: Vector, rows: RowTiles, place: tuple) -> None:
        self.layer, self.source, self.vector = workload.layer, workload.inputs[0], vector
        channel, y, across = place
        x = rows.column(across, 0) * self.layer.stride[1] - self.layer.padding[1]
        self.pointer = Pointer.to(frame, "in0", self.source.index(channel, y, x))

    def load(self, channel: int, ky: int, kx: int, number: int):
        """Vector `number` of position (ky, kx), `channel` channels further on."""
        step, along = (
            self.layer.stride[1],
            kx * self.layer.dilation[1] + number * self.vector.lanes * self.layer.stride[1],
        )
        start = channel * self.source.stride + ky * self.layer.dilation[0] * self.source.pitch
        odd = (kx * self.layer.dilation[1] - self.layer.padding[1]) % 2
        if step == 2 and odd:  # the loads of the even position before it serve it too
            low, high = (
                self.vector.load(self.pointer, start + along - 1 + part * self.vector.lanes) for part in (0, 1)
            )
            return self.vector.deinterleave(low, high, 1)
        return self.vector.load_strided(self.pointer, start + along, step)

    def advance(self, channels: int = 0, lines: int = 0) -> None:
        """Statement: go on by so many channels, and rows of the kernel."""
        self.pointer.advance(channels * self.source.stride + lines * self.layer.dilation[0] * self.source.pitch)


def loops_over_rows(workload: Workload) -> bool:
    """Whether the rows of a kernel are a loop, because all its positions at once are too much for the compiler.

    Of stride 2 in half precision, Mesa's compiler for an Adreno 730 keeps the addresses of all positions of a 3x3 in
    registers: 48, the most there are, and 9 to 21 values spilled where the output has a border. A row at a time takes
    32 and spills nothing, for 1 % more instructions.
    """
    height, width = workload.layer.kernel
    strided = workload.layer.stride[1] > 1 and workload.dtype == "float16" and not workload.widened
    return height * width > UNROLLED_POSITIONS or (strided and height * width > 1)


class StreamingAccumulators(Accumulators):
    """Accumulators whose operands come past by pointers."""

    def add_products(self, block, row, across, unroll: int = 1) -> None:
        """As `Accumulators.add_products`; kernels of many positions loop over their rows."""
        blocks = self.blocks
        first = block * (blocks.channels * blocks.positions * blocks.filters)
        self.weights = Pointer.to(self.frame, "weight", first)
        layer = self.workload.layer
        place = (blocks.first_channel(block), row * layer.stride[0] - layer.padding[0], across)
        self.window = WindowPointer(self.frame, self.workload, self.vector, self.rows, place)
        turns, rest = divmod(blocks.channels, unroll)
        if turns:
            with T.serial(0, turns):
                self._add_channels(unroll)
        if rest:
            self._add_channels(rest)

    def _add_channels(self, count: int) -> None:
        """The next `count` channels; both pointers are behind them afterwards."""
        height, width = self.workload.layer.kernel
        if not loops_over_rows(self.workload):
            self._add_positions([(c, ky, kx) for c in range(count) for ky in range(height) for kx in range(width)])
            self.window.advance(count)
            return
        for _ in range(count):
            with T.serial(0, height):
                self._add_positions([(0, 0, kx) for kx in range(width)])
                self.window.advance(lines=1)
            self.window.advance(1, -height)

    def _add_positions(self, positions: list[tuple[int, int, int]]) -> None:
        """The products of (channel, ky, kx), from the pointers on, in the order of the packed weights."""
        filters, width = self.blocks.filters, self.rows.width
        strip = ConstantStrip(self.weights, len(positions) * filters, self.vector.lanes)
        for number, (channel, ky, kx) in enumerate(positions):
            for v in range(width):
                put(self.loaded, v, self.sums.operand(self.window.load(channel, ky, kx, v)))
            self.multiply([strip[number * filters + f] for f in range(filters)])
        self.sums.settle()
        self.weights.advance(len(positions) * filters)


def make_accumulators(frame, workload: Workload, blocks: FilterBlocks, rows: RowTiles, vector: Vector) -> Accumulators:
    """The accumulators of a dense convolution that suit the device; by indices where lanes have to be held back."""
    kind = StreamingAccumulators if reads_by_pointers(frame.profile, workload, rows) else Accumulators
    return kind(frame, workload, blocks, rows, vector)
