"""CopiedWindow: what a pixel tile reads of the input, copied once into a work-item's own memory, side by side.

In planes, the same pixels of neighbouring channels lie kilobytes apart: each is on a page of its own, and few sets of a
CPU's first cache hold all of them. A work-item that makes every filter group of one pixel tile copies the tile first,
and then reads it from a few neighbouring pages as often as there are filters (the packing of GotoBLAS, Goto & van de
Geijn 2008). Measured on a Zen 3: a 1x1 layer with 512 channels and half of its columns takes 0.6 of its time.
"""

from __future__ import annotations

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, put, registers
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from codegen.layout.plane import round_up
from codegen.schedules.sparse_tiles import TallTiles
from devices.profile import Profile

#: a copy of more bytes leaves too little of a core's second cache for the weights
MOST_BYTES = 1 << 17


class CopiedWindow:
    """The input vectors of one tile, by the offset of a (channel, kernel position) in the copy.

    Args:
        workload: a convolution that `copies` says yes to.
    """

    def __init__(self, frame, workload: Workload, vector: Vector, rows: TallTiles) -> None:
        self.frame, self.workload, self.vector, self.rows = frame, workload, vector, rows
        self.lines, self.pitch = extents(workload, rows.width, rows.height)
        #: elements from one channel to the next
        self.channel = self.lines * self.pitch
        self.buffer = registers(workload.inputs[0].channels * self.channel, workload.dtype, "window")

    def fill(self, block, across) -> None:
        """Copy what the tile at (block of rows, tile along the row) reads."""
        layer, source, lanes = self.workload.layer, self.workload.inputs[0], self.vector.lanes
        first = self.rows.first_row(block) - layer.padding[0]
        column = self.rows.column(across, 0) - layer.padding[1]
        # TVM cuts a local buffer down to the elements that it sees used, and of a vector it sees the first lane alone
        put(self.buffer, source.channels * self.channel - 1, self.vector.scalar(0))
        with T.serial(0, source.channels) as channel, T.serial(0, self.lines) as line:
            for start in range(0, self.pitch, lanes):
                value = self.vector.load(self.frame["in0"], source.index(channel, first + line, column + start))
                emit(self.vector.store(value, self.buffer, channel * self.channel + line * self.pitch + start))

    def base(self, _block, _across):
        """As `Window.base`: offsets are of the tile itself."""
        return 0

    def load(self, index, row: int, number: int, further: int = 0):
        """Vector `number` of the tile's row `row`; `index` is an offset, `further` elements on."""
        return self.vector.load(self.buffer, index + (row * self.pitch + number * self.vector.lanes + further))


def extents(workload: Workload, width: int, height: int) -> tuple[int, int]:
    """Rows, and elements of a row, that a tile of `width` vectors x `height` rows reads of each channel."""
    layer, lanes = workload.layer, workload.output.lanes
    halo = [(taps - 1) * gap for taps, gap in zip(layer.kernel, layer.dilation, strict=True)]
    return height + halo[0], round_up(width * lanes + halo[1], lanes)


def copy_offsets(
    workload: Workload, tile: tuple[int, int], channel: np.ndarray, ky: np.ndarray, kx: np.ndarray
) -> np.ndarray:
    """Where (channel, ky, kx) of the first pixel lies in the copy for a tile of (vectors, rows); int32."""
    lines, pitch = extents(workload, *tile)
    down, along = workload.layer.dilation
    return (channel * (lines * pitch) + ky * (down * pitch) + kx * along).astype(np.int32)


def copies(workload: Workload, profile: Profile, width: int, height: int) -> bool:
    """Whether a tile's input may be copied: of stride 1, on a CPU, and small enough for its cache."""
    layer = workload.layer
    if profile.gpu != "cpu" or not layer.convolves or layer.stride != (1, 1):
        return False
    lines, pitch = extents(workload, width, height)
    source = workload.inputs[0]
    return source.channels * lines * pitch * source.item_bytes <= MOST_BYTES
