"""Terms: an index map in the planes of its source, as arithmetic of a kernel or as tables that it reads.

In a plane an element lies at channel x stride + row x pitch + column, so an index map stays a sum of a term per axis,
as long as the terms of two axes never carry from columns to rows, or from rows to channels. Where they do, the kernel
takes the flat number apart for each element.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

from codegen.layout.plane import Plane
from models.graph.index_map import AxisRuns, Move, find_runs

#: digits of a position that are worth computing; a table is read beyond that
MOST_DIGITS = 2


@dataclass(frozen=True)
class Terms:
    """Where the elements that one move reads lie.

    Attributes:
        base: what all terms are added to.
        channels, rows, columns: the terms of each position along the axes of the move's box, int64.
        carries: the sum is an element's flat number in the source, not its index in the buffer.
    """

    base: int
    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    carries: bool

    @classmethod
    def of(cls, move: Move, plane: Plane) -> Terms:
        """Of a move that reads a tensor that lies in `plane`."""
        tables = move.index_map.tables()
        least = [int(table.min()) for table in tables]
        tables = [table - low for table, low in zip(tables, least, strict=True)]
        offset = move.index_map.offset + sum(least)
        places = [_places(table, plane) for table in (np.array([offset]), *tables)]
        furthest = sum(place.max(axis=1) for place in places)
        if (furthest >= plane.shape).any():
            return cls(offset, tables[0], tables[1], tables[2], carries=True)
        steps = np.array([plane.stride, plane.pitch, 1])
        base, channels, rows, columns = (steps @ place for place in places)
        return cls(int(base[0]) + int(plane.start(0)) + plane.origin, channels, rows, columns, carries=False)

    @property
    def step(self) -> int | None:
        """Elements from each column to the next, where they are as many everywhere; None otherwise."""
        if self.carries:
            return None
        return straight_step(self.columns)

    @property
    def alternates(self) -> bool:
        """Whether neighbouring columns come from two rows in turns, one after the other in each."""
        return not self.carries and self.step is None and _alternates(self.columns)


def _alternates(columns: np.ndarray) -> bool:
    """Whether even and odd terms have steps of 1: the columns of two rows in turns, as after a pixel shuffle."""
    if len(columns) < 4 or len(columns) % 2:
        return False
    return straight_step(columns[::2]) == 1 and straight_step(columns[1::2]) == 1


def straight_step(table: np.ndarray) -> int | None:
    """The one step between neighbouring terms; 1 for a single term; None where steps differ."""
    steps = np.unique(np.diff(table))
    return (int(steps[0]) if len(steps) else 1) if len(steps) < 2 else None


def needs_table(table: np.ndarray) -> bool:
    """Whether a kernel reads the terms instead of computing them."""
    runs = find_runs(table)
    return len(runs) > 1 or len(runs[0].digits) > MOST_DIGITS


def term(table: np.ndarray, buffer, position):
    """The term of a position as an expression; `buffer` holds the table, where `needs_table` says so."""
    return buffer[position] if buffer is not None else _arithmetic(find_runs(table), position)


def _arithmetic(runs: AxisRuns, position):
    (run,) = runs
    total, below = T.int32(run.start), 1
    for extent, step in reversed(run.digits):
        digit = position // below if below > 1 else position
        leading = below * extent == run.count
        total = total + (digit if leading else digit % extent) * step
        below *= extent
    return total


def _places(table: np.ndarray, plane: Plane) -> np.ndarray:
    """Channel, row and column of flat numbers: (3, count)."""
    rest = table % (plane.height * plane.width)
    return np.stack([table // (plane.height * plane.width), rest // plane.width, rest % plane.width])


def index_of_flat(plane: Plane, flat):
    """The index in the buffer of the element with a flat number in the tensor."""
    area = plane.height * plane.width
    channel, rest = flat // area, flat % area
    return plane.index(channel, rest // plane.width, rest % plane.width)
