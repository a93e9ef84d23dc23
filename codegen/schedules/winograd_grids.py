"""The first and the last grid of a Winograd convolution: image to transformed tiles, and back.

A vector holds as many neighbouring tiles of a row of tiles as it has lanes. Both ways go along the image's columns
first, on plain pieces of its rows: taking rows apart into the columns of tiles costs shuffles, and so only n rows are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, put, registers, when
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from codegen.layout.plane import BAD_PITCH_BYTES, Plane, round_up
from codegen.schedules.winograd_transforms import Registers, put_together, take_apart, transform_input, transform_output

LINE_BYTES = 64


@dataclass(frozen=True)
class Tiling:
    """The tiles of an output plane, and where they lie in V [position][channel][tile] and M [filter][position][tile].

    On a CPU tiles lie densely, tile t of row r at r * across + t, and one work-item walks all rows of a channel: the
    vector that ends a row runs over into the next one, whose own vectors come later. Elsewhere each row of tiles fills
    whole vectors, so that every vector may have a work-item of its own.

    Attributes:
        plane: the output.
        m: outputs of a tile along each axis.
        dense: lay tiles densely.
    """

    plane: Plane
    m: int
    dense: bool

    @property
    def n(self) -> int:
        """Inputs of a tile along each axis."""
        return self.m + 2

    @property
    def by_rows(self) -> bool:
        """Whether a transform makes one row of its result at a time, and reads its input anew for each.

        A work-item of a GPU has no registers for the 30 vectors that F(4 x 4) otherwise keeps between its two halves:
        compilers for a Mali-G76 and an Adreno 730 moved 60 to 200 of them to memory and back. A row of a transform
        needs three or four rows of the six, so loads are not even four times as many, and are cached.
        """
        return self.m > 2 and not self.dense

    @property
    def positions(self) -> int:
        return self.n * self.n

    @property
    def down(self) -> int:
        return ceil(self.plane.height / self.m)

    @property
    def of_row(self) -> int:
        """Tiles along a row."""
        return ceil(self.plane.width / self.m)

    @property
    def vectors_of_row(self) -> int:
        return ceil(self.of_row / self.plane.lanes)

    @property
    def across(self) -> int:
        """Places from one row of tiles to the next."""
        return self.of_row if self.dense else self.vectors_of_row * self.plane.lanes

    @property
    def vectors(self) -> int:
        """Vectors that hold tiles."""
        return ceil(self.down * self.across / self.plane.lanes)

    @property
    def pitch(self) -> int:
        """Elements from one channel to the next; the last row's last vector fits."""
        lanes = self.plane.lanes
        pitch = round_up((self.down - 1) * self.across + self.vectors_of_row * lanes, lanes)
        return pitch + lanes if pitch * self.plane.item_bytes % BAD_PITCH_BYTES == 0 else pitch

    def position_stride(self, channels: int) -> int:
        """Elements from one position of V to the next: an odd number of cache lines, because the transform writes all
        positions at once and they must not meet in one set of the cache."""
        line = LINE_BYTES // self.plane.item_bytes
        lines = ceil(channels * self.pitch / line)
        return (lines + 1 - lines % 2) * line

    def v(self, channels: int, position, channel, tile):
        """Flat index into V."""
        return position * self.position_stride(channels) + channel * self.pitch + tile

    def m_index(self, position, channel, tile):
        """Flat index into M."""
        return (channel * self.positions + position) * self.pitch + tile


def write_input_grid(frame, workload: Workload, tiling: Tiling, vector: Vector) -> None:
    """V of every tile."""
    for channel, row, part in _vectors_of_tiles(frame, tiling, workload.inputs[0].channels):
        _transform_in(frame, workload, tiling, vector, channel, row, part)


def write_output_grid(frame, workload: Workload, tiling: Tiling, vector: Vector) -> None:
    """The m x m outputs of every tile, with bias and epilogue."""
    for channel, row, part in _vectors_of_tiles(frame, tiling, workload.output.channels):
        _transform_out(frame, workload, tiling, vector, channel, row, part)


def _vectors_of_tiles(frame, tiling: Tiling, channels: int) -> Iterator[tuple]:
    """The grid of a transform: (channel, row of tiles, vector along it) of a work-item, or of each turn of its loop."""
    if not tiling.dense:
        with frame.grid((channels, tiling.down, tiling.vectors_of_row)) as axes:
            yield axes
        return
    with frame.grid((channels,)) as (channel,), T.serial(0, tiling.down) as row:
        for part in _turns(tiling.vectors_of_row, tiling.vectors_of_row == 1):
            yield channel, row, part


def _turns(count: int, unrolled: bool) -> Iterator:
    """0 ... count - 1, in Python or as a loop in the kernel.

    Loops compile two to four times as fast, but the private vectors they index lie in memory: a CPU has them in cache.
    """
    if unrolled:
        yield from range(count)
        return
    with T.serial(0, count) as number:
        yield number


def _transform_in(frame, workload: Workload, tiling: Tiling, vector: Vector, channel, row, part) -> None:
    """B' d B of one vector of tiles."""
    m, n = tiling.m, tiling.n
    # the last tile of a vector ends in the piece after it
    pieces = m if tiling.vectors_of_row == 1 and tiling.of_row < vector.lanes else m + 1

    def down(piece: int) -> list:
        """The n rows of a piece, transformed along the image's columns."""
        keep = Registers(n + 4, vector, "loaded").keep
        loaded = [keep(_load(frame, workload, tiling, vector, channel, row, r, part, piece)) for r in range(n)]
        return transform_input(loaded, m, vector.splat, keep)

    place = (channel, row * tiling.across + part * vector.lanes)
    if tiling.by_rows:
        for i in range(n):
            line = registers(pieces, vector.type, "line")
            for piece in range(pieces):
                put(line, piece, down(piece)[i])
            _transform_row_in(frame, workload, tiling, vector, i, [line[piece] for piece in range(pieces)], place)
        return
    along = registers(n * pieces, vector.type, "along")
    for piece in range(pieces):
        for i, value in enumerate(down(piece)):
            put(along, i * pieces + piece, value)
    for i in _turns(n, unrolled=not tiling.dense):
        line = [along[i * pieces + piece] for piece in range(pieces)]
        _transform_row_in(frame, workload, tiling, vector, i, line, place)


def _transform_row_in(
    frame, workload: Workload, tiling: Tiling, vector: Vector, i, line: Sequence, place: tuple
) -> None:
    """Transform row i along the image's rows and write it to V; `line` are its pieces, `place` is (channel, tile)."""
    m, n, lanes = tiling.m, tiling.n, vector.lanes
    channel, first = place
    keep = Registers(m * m + n + 4, vector, "across").keep
    columns = take_apart(line[:m], vector, keep)
    columns += [keep(vector.shuffle(columns[j], line[-1], [*range(1, lanes), lanes + j])) for j in (0, 1)]
    for j, value in enumerate(transform_input(columns, m, vector.splat, keep)):
        emit(vector.store(value, frame["v"], tiling.v(workload.inputs[0].channels, i * n + j, channel, first)))


def _load(frame, workload: Workload, tiling: Tiling, vector: Vector, channel, row, r: int, part, piece: int):
    """A piece of row r of a row of tiles; zero beyond the image's right border.

    Rows beyond the lower border feed only outputs that do not exist: the border's last row stands in for them.
    """
    plane, (above, left) = workload.inputs[0], workload.layer.padding
    whole, limit = tiling.m * vector.lanes, plane.width + left
    first = piece * vector.lanes - left
    if tiling.vectors_of_row == 1 and first >= limit:
        return vector.splat(0)
    y, column = T.min(row * tiling.m + r - above, plane.height + above - 1), part * whole + first
    value = vector.load(frame["in0"], plane.index(channel, y, column))
    last = (tiling.vectors_of_row - 1) * whole + first
    return vector.keep_below(value, column, limit) if last + vector.lanes > limit else value


def _transform_out(frame, workload: Workload, tiling: Tiling, vector: Vector, channel, row, part) -> None:
    """A' t A of one vector of tiles."""
    plane, m, n = workload.output, tiling.m, tiling.n
    rows, unrolled = RowTiles(plane, vector, m), not tiling.dense
    first, bias = row * tiling.across + part * vector.lanes, registers(1, vector.type, "bias_vector")
    along = registers(n if tiling.by_rows else m * n, vector.type, "along")
    sums = registers(m, vector.type, "sums")
    put(bias, 0, vector.splat(frame["bias"][channel]))

    def down(j) -> list:
        """Column j of a tile, transformed."""
        keep = Registers(n + 4, vector, "column").keep
        places = [tiling.m_index(i * n + j, channel, first) for i in range(n)]
        column = [keep(vector.load(frame["m"], place)) for place in places]
        return transform_output(column, m, vector.splat, keep)

    if not tiling.by_rows:
        for j in _turns(n, unrolled):
            for i, value in enumerate(down(j)):
                put(along, i * n + j, value)
    for i in _turns(m, unrolled):
        start = 0 if tiling.by_rows else i * n
        if tiling.by_rows:
            for j in range(n):
                put(along, j, down(j)[i])
        keep = Registers(m + 4 + m * m, vector, "outputs").keep
        columns = transform_output([along[start + j] for j in range(n)], m, vector.splat, keep)
        pieces = put_together([keep(value + bias[0]) for value in columns], vector, keep)
        for number, value in enumerate(pieces):
            put(sums, number, value)
        y = row * m + i
        with when(True if plane.height % m == 0 else y < plane.height):
            finish(frame, workload, vector, rows, [(channel, True)], sums, y, part, started=False)
            rows.zero_borders(frame["out"], [(channel, True)], y, part)
