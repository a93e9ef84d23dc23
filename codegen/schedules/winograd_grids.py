"""The first and the last grid of a Winograd convolution: image to transformed tiles, and back.

A vector holds as many neighbouring tiles of a row of tiles as it has lanes. Both ways go along the image's columns
first, on plain pieces of its rows: taking rows apart into the columns of tiles costs shuffles, and so only n rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, put, registers, when
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from codegen.layout.plane import BAD_PITCH_BYTES, Plane, round_up
from codegen.schedules.winograd_transforms import (
    INPUT_ROWS,
    OUTPUT_ROWS,
    Registers,
    add_rows,
    put_together,
    take_apart,
    transform_input,
    transform_output,
)

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
        row_items: each row of a transform's result has work-items of its own: what rows share is loaded anew, as it
            is from cache, instead of kept.
    """

    plane: Plane
    m: int
    dense: bool
    row_items: bool = False

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
    for place in _vectors_of_tiles(frame, tiling, workload.inputs[0].channels, tiling.n):
        _transform_in(frame, workload, tiling, vector, place)


def write_output_grid(frame, workload: Workload, tiling: Tiling, vector: Vector) -> None:
    """The m x m outputs of every tile, with bias and epilogue."""
    for place in _vectors_of_tiles(frame, tiling, workload.output.channels, tiling.m):
        _transform_out(frame, workload, tiling, vector, place)


class TilesPlace(NamedTuple):
    """A vector of tiles that a work-item transforms, each a number or an expression.

    Attributes:
        channel, row, part: its channel, its row of tiles, and which vector along that row it is.
        result_row: the one row of the transform's result that the work-item makes; None: it makes all.
    """

    channel: Any
    row: Any
    part: Any
    result_row: Any = None


def _vectors_of_tiles(frame, tiling: Tiling, channels: int, result_rows: int) -> Iterator[TilesPlace]:
    """The grid of a transform whose result has so many rows: the place of a work-item, or of each turn of its loop."""
    if not tiling.dense:
        parts = result_rows if tiling.row_items else 1
        with frame.grid((channels, parts * tiling.down, tiling.vectors_of_row)) as (channel, place, part):
            whole = TilesPlace(channel, place, part)
            yield whole if parts == 1 else TilesPlace(channel, place % tiling.down, part, place // tiling.down)
        return
    with frame.grid((channels,)) as (channel,), T.serial(0, tiling.down) as row:
        for part in _turns(tiling.vectors_of_row, tiling.vectors_of_row == 1):
            yield TilesPlace(channel, row, part)


def _turns(count: int, unrolled: bool) -> Iterator:
    """0 ... count - 1, in Python or as a loop in the kernel.

    Loops compile two to four times as fast, but the private vectors they index lie in memory: a CPU has them in cache.
    """
    if unrolled:
        yield from range(count)
        return
    with T.serial(0, count) as number:
        yield number


def _transform_in(frame, workload: Workload, tiling: Tiling, vector: Vector, place: TilesPlace) -> None:
    """B' d B of one vector of tiles."""
    channel, row, part = place[:3]
    # the last tile of a vector ends in the piece after it
    pieces = tiling.m if tiling.vectors_of_row == 1 and tiling.of_row < vector.lanes else tiling.m + 1
    target = (channel, row * tiling.across + part * vector.lanes)

    def load(r, piece):
        return _load(frame, workload, tiling, vector, channel, row, r, part, piece)

    if place.result_row is not None:
        sums = add_rows(frame, vector, INPUT_ROWS, place.result_row, (tiling.n, pieces), load)
        lines: Iterable[tuple] = [(place.result_row, [sums[piece] for piece in range(pieces)])]
    else:
        lines = _all_rows(tiling, vector, transform_input, pieces, tiling.n, load)
    for i, line in lines:
        _transform_row_in(frame, workload, tiling, vector, i, line, target)


def _all_rows(
    tiling: Tiling, vector: Vector, transform: Callable, columns: int, results: int, load: Callable
) -> Iterator[tuple]:
    """Every row of B' d or A' t: its number, and its columns as cheap expressions.

    Args:
        transform: `transform_input` or `transform_output`, which makes `results` values of n.
        columns: of d or t.
        load: (row, column) -> the value there.
    """

    def down(column) -> list:
        keep = Registers(tiling.n + 4, vector, "loaded").keep
        return transform([keep(load(r, column)) for r in range(tiling.n)], tiling.m, vector.splat, keep)

    unrolled, whole = not tiling.dense, not tiling.by_rows
    along = registers(columns * (results if whole else 1), vector.type, "along")
    if whole:
        for column in _turns(columns, unrolled or transform is transform_input):
            for i, value in enumerate(down(column)):
                put(along, i * columns + column, value)
    for i in _turns(results, unrolled):
        if not whole:
            for column in range(columns):
                put(along, column, down(column)[i])
        start = i * columns if whole else 0
        yield i, [along[start + column] for column in range(columns)]


def _transform_row_in(
    frame, workload: Workload, tiling: Tiling, vector: Vector, i, line: Sequence, target: tuple
) -> None:
    """Transform row i along the image's rows and write it to V; `line` are its pieces, `target` is (channel, tile)."""
    m, n, lanes = tiling.m, tiling.n, vector.lanes
    channel, first = target
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


def _transform_out(frame, workload: Workload, tiling: Tiling, vector: Vector, place: TilesPlace) -> None:
    """A' t A of one vector of tiles."""
    m, n, (channel, row, part) = tiling.m, tiling.n, place[:3]
    first, bias = row * tiling.across + part * vector.lanes, registers(1, vector.type, "bias_vector")
    put(bias, 0, vector.splat(frame["bias"][channel]))

    def load(i, j):
        return vector.load(frame["m"], tiling.m_index(i * n + j, channel, first))

    if place.result_row is not None:
        sums = add_rows(frame, vector, OUTPUT_ROWS, place.result_row, (n, n), load)
        lines: Iterable[tuple] = [(place.result_row, [sums[j] for j in range(n)])]
    else:
        lines = _all_rows(tiling, vector, transform_output, n, m, load)
    for i, line in lines:
        _transform_row_out(frame, workload, tiling, vector, i, line, place, bias[0])


def _transform_row_out(
    frame, workload: Workload, tiling: Tiling, vector: Vector, i, line: Sequence, place: TilesPlace, bias
) -> None:
    """Transform row i along the image's rows, and write the outputs; `line` are the row's n columns."""
    plane, m, (channel, row, part) = workload.output, tiling.m, place[:3]
    rows, sums = RowTiles(plane, vector, m), registers(m, vector.type, "sums")
    keep = Registers(m + 4 + m * m, vector, "outputs").keep
    columns = transform_output(line, m, vector.splat, keep)
    for number, value in enumerate(put_together([keep(value + bias) for value in columns], vector, keep)):
        put(sums, number, value)
    y = row * m + i
    with when(True if plane.height % m == 0 else y < plane.height):
        finish(frame, workload, vector, rows, [(channel, True)], sums, y, part, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], y, part)
