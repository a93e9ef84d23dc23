"""RowTiles: how work-items share a plane's rows, and the one place where output (with its zero borders) is written.

A tile is `width` neighbouring vectors of `height` neighbouring rows. Tiles cover exactly the vectors that hold image
elements; the item of a row's last tile zeroes the gap, those of the first and last rows the borders above and below.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, put, when
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from codegen.layout.plane import SLACK_VECTORS, Plane
from devices.profile import Profile


def load_window(buffer, workload: Workload, vector: Vector, rows: RowTiles, channel, row, across, number, position):
    """The input vector that position (ky, kx) of a window needs, for vector `number` of a tile of output row `row`."""
    layer = workload.layer
    y = row * layer.stride[0] + position[0] * layer.dilation[0] - layer.padding[0]
    return load_columns(buffer, workload, vector, rows, channel, y, across, number, position[1])


def load_columns(buffer, workload: Workload, vector: Vector, rows: RowTiles, channel, y, across, number, kx):
    """As `load_window`, of input row `y` and column kx of the window.

    Lanes beyond the output's width read whatever follows in the buffer; where a long stride would carry them out of
    it, they are held back at its end.
    """
    layer, source = workload.layer, workload.inputs[0]
    x = rows.column(across, number) * layer.stride[1] + kx * layer.dilation[1] - layer.padding[1]
    size = held_size(workload, rows)
    odd = isinstance(kx, int) and (kx * layer.dilation[1] - layer.padding[1]) % 2
    if layer.stride[1] == 2 and odd and size is None:  # the loads of the even position before it serve it too
        index = source.index(channel, y, x - 1)
        return vector.deinterleave(vector.load(buffer, index), vector.load(buffer, index + vector.lanes), 1)
    return vector.load_strided(buffer, source.index(channel, y, x), layer.stride[1], size)


def held_size(workload: Workload, rows: RowTiles) -> int | None:
    """Elements of the input's buffer where lanes beyond the output's width, of a long stride, would leave it and are to
    be held back at its end; None where they end within the slack."""
    layer, source = workload.layer, workload.inputs[0]
    furthest = rows.across * rows.width * source.lanes * layer.stride[1] - 1
    furthest += (layer.kernel[1] - 1) * layer.dilation[1] - layer.padding[1]
    return None if furthest < source.pitch + SLACK_VECTORS * source.lanes else source.size


def reads_by_pointers(profile: Profile, workload: Workload, rows: RowTiles) -> bool:
    """Whether a kernel reads its input by pointers that advance: a GPU's, but where lanes have to be held back."""
    return profile.streams and held_size(workload, rows) is None


class RowTiles:
    """Tiles of `width` vectors x `height` rows over an output plane.

    Args:
        plane: where the output lies; its lanes are the vector's.
        vector: the vector type.
        width: vectors per tile.
        height: rows per tile; where it does not divide the plane's height, those of the last tiles are fewer.
    """

    def __init__(self, plane: Plane, vector: Vector, width: int, height: int = 1) -> None:
        self.plane, self.vector, self.width, self.height = plane, vector, width, height
        self.across = -(-plane.vectors // width)
        self.down = -(-plane.height // height)

    def column(self, tile, number: int):
        """First column of vector `number` of tile `tile` along a row."""
        return (tile * self.width + number) * self.plane.lanes

    def store(self, registers, first: int, buffer, channel, row, tile) -> None:
        """Write registers[first : first + width], of any type, to a row, masking what lies beyond the image."""
        plane, held = self.plane, self.vector.of(str(registers.dtype).partition("x")[0])
        for number in range(self.width):
            column = self.column(tile, number)
            last_tile_only = (plane.vectors - 1) % self.width == number
            if plane.border != (0, 0) and last_tile_only and plane.width % plane.lanes:
                put(registers, first + number, held.keep_below(registers[first + number], column, plane.width))
            in_every_tile = plane.vectors % self.width == 0 or number < plane.vectors % self.width
            with when(True if in_every_tile else tile < self.across - 1):
                value = self.vector.convert(registers[first + number], held.dtype)
                emit(self.vector.store(value, buffer, plane.index(channel, row, column)))
        if plane.pitch > plane.vectors * plane.lanes:
            with when(True if self.across == 1 else tile == self.across - 1):
                self._zero(buffer, channel, row, range(plane.vectors, plane.pitch // plane.lanes))

    def zero_borders(self, buffer, channels: Sequence, block, tile) -> None:
        """Write the zeros above the first and below the last block of rows, and before the first row.

        Args:
            buffer: the output.
            channels: (index expression, condition or True) of each channel this work-item owns.
            block: which block of rows (of `height`) the item has.
            tile: which tile along the row.
        """
        plane = self.plane
        if plane.border == (0, 0):
            return
        # the conditions of place are outermost: inside the loop over channels they would be tested for each of them
        if plane.lead:
            with when(block == 0), when(True if self.across == 1 else tile == 0):
                for channel, owned in channels:
                    with when(owned):
                        for start in range(0, plane.lead, plane.lanes):
                            emit(self.vector.store(self.vector.splat(0), buffer, plane.start(channel) + start))
        if plane.border[0]:
            for reached, row in ((block == 0, -plane.border[0]), (block == self.down - 1, plane.height)):
                with when(reached):
                    for channel, owned in channels:
                        with when(owned):
                            self._zero_rows(buffer, channel, row, tile)

    def _zero_rows(self, buffer, channel, row: int, tile) -> None:
        """Zero `border` whole rows from `row` on; the tile's share of the columns, and the gap by the last tile."""
        plane = self.plane
        with T.serial(0, plane.border[0]) as offset:
            for number in range(self.width):
                vectors = plane.vectors
                inside = vectors % self.width == 0 or number < vectors % self.width
                with when(True if inside else tile < self.across - 1):
                    index = plane.index(channel, row + offset, self.column(tile, number))
                    emit(self.vector.store(self.vector.splat(0), buffer, index))
            with when(True if self.across == 1 else tile == self.across - 1):
                self._zero(buffer, channel, row + offset, range(plane.vectors, plane.pitch // plane.lanes))

    def _zero(self, buffer, channel, row, vectors: range) -> None:
        for number in vectors:
            index = self.plane.index(channel, row, number * self.plane.lanes)
            emit(self.vector.store(self.vector.splat(0), buffer, index))
