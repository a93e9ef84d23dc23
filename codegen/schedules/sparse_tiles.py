"""What sparse convolution schedules share: work-items of several rows, and reading the input by offsets.

A work-item keeps filters x rows x vectors accumulators. A dense schedule fills the registers with filters, which share
every input vector; where few filters share their columns, rows take the place of filters, which share every weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.epilogue import finish, initial_addend
from codegen.kernels.pointers import Pointer
from codegen.kernels.rows import RowTiles, held_size
from codegen.kernels.sums import Sums
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from codegen.layout.plane import Plane
from codegen.schedules.phases import Phases


class TallTiles(RowTiles):
    """Tiles of `width` vectors x `height` rows, any height up to the plane's.

    Where the height does not divide the plane's, the last tile begins higher so as to end with the image: two
    work-items then write the same values to the rows they share.
    """

    def __init__(self, plane: Plane, vector: Vector, width: int, height: int) -> None:
        super().__init__(plane, vector, width)
        self.height = min(height, plane.height)
        self.down = -(-plane.height // self.height)

    def first_row(self, block):
        """First row of a block of rows."""
        last = self.plane.height - self.height
        return block * self.height if self.plane.height % self.height == 0 else T.min(block * self.height, last)


class Window:
    """Input vectors of a tile, by the offset of a (channel, kernel position) in the input's buffer.

    An offset is the flat index of the input element that the output's pixel (0, 0) needs; any other pixel's lies as
    far behind it for all channels and positions alike.

    Args:
        phases: the input's columns, where they have been split into even and odd ones (scratch "phases").
    """

    def __init__(
        self, frame, workload: Workload, vector: Vector, rows: TallTiles, phases: Phases | None = None
    ) -> None:
        self.workload, self.vector, self.rows = workload, vector, rows
        layer, source = workload.layer, workload.inputs[0]
        self.name = "in0" if phases is None else "phases"
        self.buffer = frame[self.name]
        #: elements from one channel, one output row and one output column to the next
        self.channel, self.row, self.column = source.stride, layer.stride[0] * source.pitch, layer.stride[1]
        #: long strides may carry lanes beyond the slack: they are held back at the end of the buffer
        self.size: int | None = None
        if phases is not None:
            self.channel, self.row, self.column = phases.stride, 2 // phases.row_step * phases.pitch, 1
            return
        self.size = held_size(workload, rows)

    def base(self, block, across):
        """What is to be added to an offset for the tile's first pixel."""
        return self.rows.first_row(block) * self.row + self.rows.column(across, 0) * self.column

    def load(self, index, row: int, number: int, further: int = 0):
        """Vector `number` of the tile's row `row`; `index` is offset + base, `further` elements on."""
        step = row * self.row + number * self.vector.lanes * self.column + further
        return self.vector.load_strided(self.buffer, index + step, self.column, self.size)

    def load_from(self, pointer: Pointer, row: int, number: int, further: int = 0):
        """As `load`, from a pointer to offset + base; no lanes are held back."""
        step = row * self.row + number * self.vector.lanes * self.column + further
        return self.vector.load_strided(pointer, step, self.column)


def plane_offsets(
    workload: Workload, channel: np.ndarray, ky: np.ndarray, kx: np.ndarray, phases: Phases | None = None
) -> np.ndarray:
    """The offsets, as `Window` reads them, of (channel, ky, kx) in a layer's input, or in its phases; int32."""
    layer, source = workload.layer, workload.inputs[0]
    if phases is not None:
        taps = np.array(phases.taps)
        starts = np.array([phases.index(phase, 0, 0, column - phases.first) for phase, column in taps.tolist()])
        return (starts[kx] + channel * phases.stride + ky * (layer.dilation[0] * phases.pitch)).astype(np.int32)
    y, x = (at * layer.dilation[axis] - layer.padding[axis] for axis, at in enumerate((ky, kx)))
    return np.asarray(source.index(channel.astype(np.int64), y, x)).astype(np.int32)


class TallAccumulators:
    """The registers of one work-item, [row][filter][vector]. A GPU's gain a leading addend after the products, so that
    its addresses take no registers beside those of the products."""

    def __init__(self, frame, workload: Workload, vector: Vector, rows: TallTiles, filters: int) -> None:
        self.frame, self.workload, self.vector, self.rows, self.filters = frame, workload, vector, rows, filters
        self.sums = [
            Sums(frame.profile, workload, vector, filters * rows.width, f"sums{row}") for row in range(rows.height)
        ]
        self.factor = registers(1, self.products.type, "factor")

    @property
    def products(self) -> Vector:
        """The type of the factors of a product."""
        return self.sums[0].products

    def start(self, owned: Sequence[tuple], bias: int, block, across) -> None:
        """Accumulators start from bias[bias : bias + filters], and from the addend where the epilogue begins so."""
        last, sure = self.workload.layer.out_shape[0] - 1, all(exists is True for _, exists in owned)
        for f, (channel, _) in enumerate(owned):
            for row, sums in enumerate(self.sums):
                for v in range(self.rows.width):
                    value = sums.number(self.frame["bias"][bias + f])
                    # surplus filters of a part empty group read the last channel's addend; they are never stored
                    place = (channel if sure else T.min(channel, last), self.rows.first_row(block) + row)
                    column = self.rows.column(across, v)
                    late = self.frame.profile.streams
                    first = None if late else initial_addend(self.frame, self.workload, sums.vector, *place, column)
                    sums.start(f * self.rows.width + v, value if first is None else value + first)

    def multiply(self, weights: Sequence, vectors) -> None:
        """Every accumulator gains weights[filter] times vectors[row][vector], given as expressions."""
        for f, weight in enumerate(weights):
            put(self.factor, 0, self.splat(weight))
            for row, sums in enumerate(self.sums):
                for v in range(self.rows.width):
                    sums.add(f * self.rows.width + v, vectors[row][v] * self.factor[0])

    def operand(self, value):
        """A loaded vector as a factor."""
        return self.sums[0].operand(value)

    def splat(self, weight):
        """A loaded number as a factor."""
        return self.sums[0].splat(weight)

    def settle(self) -> None:
        """As `Sums.settle`."""
        for sums in self.sums:
            sums.settle()

    def finish(self, owned: Sequence[tuple], block, across) -> None:
        """Run the epilogue and write the tile with the zeros around it."""
        for row, sums in enumerate(self.sums):
            sums.finish()
            finish(
                self.frame,
                self.workload,
                sums.vector,
                self.rows,
                owned,
                sums.held,
                self.rows.first_row(block) + row,
                across,
                started=not self.frame.profile.streams,
            )
        self.rows.zero_borders(self.frame["out"], owned, block, across)
