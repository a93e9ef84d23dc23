"""Cells: which elements of a map are combined with each other, and the parts into which work-items share them.

A cell is a set of elements that are combined: all channels of a group at one position, a row, a plane, ... Where rows
are combined ("W" among the axes), a work-item goes along them and folds the lanes of its vectors at the end; else its
lanes are cells of their own, and it goes from plane to plane or from row to row. A cell that is large, among few, is
cut into parts of some planes and rows, which join in a further grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from codegen.kernels.builder import when
from codegen.layout.plane import Plane
from models.graph.reduction import Reduction


@dataclass(frozen=True)
class ReductionTile:
    """How a reduction is cut.

    Attributes:
        vectors: of a row, for a work-item, where rows are not combined.
        planes, lines: planes and rows of a cell that one work-item combines.
    """

    vectors: int
    planes: int
    lines: int

    def __str__(self) -> str:
        return f"V{self.vectors} C{self.planes} R{self.lines}"


@dataclass(frozen=True)
class Place:
    """A cell, or with `plane_part` and `line_part` a part of one; expressions of TIR.

    Attributes:
        channel, row: index of the cell: of its group or channel, and of its row where rows are cells.
        across: tile along the row; 0 where rows are combined.
    """

    channel: Any
    row: Any
    across: Any
    plane_part: Any = 0
    line_part: Any = 0


@dataclass(frozen=True)
class Cells:
    """The cells of `reduction` on `source`, cut by `tile`."""

    source: Plane
    reduction: Reduction
    tile: ReductionTile

    @property
    def along_rows(self) -> bool:
        return "W" in self.reduction.axes

    @property
    def depth(self) -> int:
        """Planes of a cell."""
        return self.source.channels // self.reduction.groups if "C" in self.reduction.axes else 1

    @property
    def height(self) -> int:
        """Rows of a cell."""
        return self.source.height if "H" in self.reduction.axes else 1

    @property
    def extents(self) -> tuple[int, int, int]:
        """Cells along channels, rows and tiles of a row."""
        across = 1 if self.along_rows else -(-self.source.vectors // self.tile.vectors)
        return self.source.channels // self.depth, self.source.height // self.height, across

    @property
    def plane_parts(self) -> int:
        return -(-self.depth // self.tile.planes)

    @property
    def line_parts(self) -> int:
        return -(-self.height // self.tile.lines)

    @property
    def parts(self) -> int:
        """Parts of a cell."""
        return self.plane_parts * self.line_parts

    @property
    def scratch(self) -> int:
        """Elements of a buffer with a vector for every vector of every part."""
        channels, rows, across = self.extents
        return self.parts * channels * rows * across * self.tile.vectors * self.source.lanes

    def index(self, place: Place, vector):
        """Where the vector of a part lies in such a buffer."""
        channels, rows, across = self.extents
        part = place.plane_part * self.line_parts + place.line_part
        cell = ((part * channels + place.channel) * rows + place.row) * across + place.across
        return (cell * self.tile.vectors + vector) * self.source.lanes

    def size_of_part(self, place: Place):
        """Elements that are combined into one statistic of a part, an int32 expression."""
        planes = _extent_of(place.plane_part, self.tile.planes, self.depth)
        lines = _extent_of(place.line_part, self.tile.lines, self.height)
        return planes * lines * (self.source.width if self.along_rows else 1)

    @contextmanager
    def rows_of(self, place: Place) -> Iterator[tuple]:
        """(channel, row) of every row of a part: loops in the kernel."""
        with ExitStack() as scopes:
            channel = _walk(scopes, place.channel, place.plane_part, self.tile.planes, self.depth)
            row = _walk(scopes, place.row, place.line_part, self.tile.lines, self.height)
            yield channel, row

    def visit(self, place: Place, body: Callable) -> None:
        """Emit body(channel, row, tile along the row, vector of the tile, column or None) for every vector of a part.

        The column is that of the vector's first lane where lanes at its end lie beyond the image.
        """
        source = self.source
        with self.rows_of(place) as (channel, row):
            if not self.along_rows:
                for number in range(self.tile.vectors):
                    body(channel, row, place.across, number, None)
                return
            whole = source.width // source.lanes
            if whole:
                with T.serial(0, whole) as across:
                    body(channel, row, across, 0, None)
            if source.width % source.lanes:
                body(channel, row, whole, 0, whole * source.lanes)


def _extent_of(part, step: int, extent: int):
    """How many of `extent` the part number `part` has, of parts of `step`."""
    return min(step, extent) if extent % step == 0 or step >= extent else T.min(step, extent - part * step)


def _walk(scopes: ExitStack, cell, part, step: int, extent: int):
    """Enter the loop over one axis of a part; the index along the axis of the map."""
    if extent == 1:
        return cell
    number = scopes.enter_context(T.serial(0, min(step, extent))) if step > 1 else 0
    within = number if step >= extent else part * step + number
    if extent % step and step < extent:
        scopes.enter_context(when(within < extent))
    return cell * extent + within


#: (work-items that are enough, vectors of a part that is worth a work-item). On a CPU two more grids cost as much as a
#: core combines in tens of microseconds, and the cell that is written has just been read
CPU_PARTS, GPU_PARTS = (4, 16384), (2048, 16)


def tiles_of(source: Plane, reduction: Reduction, cpu: bool) -> list[ReductionTile]:
    """Ways to cut a reduction, the default first: whole cells where there are enough of them to share, or they are
    small; else parts, so many that there is enough to share, none of them too small."""
    enough, least = CPU_PARTS if cpu else GPU_PARTS
    tiles = []
    for vectors in [count for count in (4, 2, 1) if source.vectors % count == 0] if cpu else [1]:
        cells = Cells(source, reduction, ReductionTile(1 if "W" in reduction.axes else vectors, 1, 1))
        channels, rows, across = cells.extents
        items, steps = channels * rows * across, cells.depth * cells.height
        steps *= source.vectors if cells.along_rows else cells.tile.vectors
        parts = max(min(-(-enough // items), steps // least, MOST_PARTS), 1)
        tiles += [_cut(cells, parts), _cut(cells, 1), _cut(cells, min(4 * parts, MOST_PARTS))]
    return list(dict.fromkeys(tiles))


#: parts of a cell; they join one after the other
MOST_PARTS = 256


def _cut(cells: Cells, parts: int) -> ReductionTile:
    """Cells in about so many parts: along channels first, then along rows."""
    planes = -(-cells.depth // min(parts, cells.depth))
    left = max(parts // -(-cells.depth // planes), 1)
    return ReductionTile(cells.tile.vectors, planes, -(-cells.height // min(left, cells.height)))


def drop_ones(extents: tuple[int, ...]) -> tuple[int, ...]:
    """A grid's extents without those that are 1, so that a work-group lies along one that is not."""
    return tuple(extent for extent in extents if extent > 1) or (1,)


def put_back_ones(axes: tuple, extents: tuple[int, ...]) -> list:
    """The index along every axis of `extents`, from those of a grid of `drop_ones`."""
    given = iter(axes)
    return [next(given) if extent > 1 else 0 for extent in extents]
