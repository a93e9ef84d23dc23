"""Layers that fill boxes of their result with elements of their inputs: slices, shuffles, flips, transposes, joins.

A work-item makes vectors of a row. Where neighbouring columns come from neighbouring elements, a vector is one load;
where every second does, two; where they come from two rows in turns, one of each; from right to left, one that is
turned round. Elsewhere tables say where each column is: a vector of at most two stretches of neighbours is two loads,
any other is loaded lane by lane.
"""

from __future__ import annotations

from math import prod

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel, put, registers, when
from codegen.kernels.epilogue import finish
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import Plane
from codegen.schedules.move import CPU_TILE, tile_rows
from codegen.schedules.moving.terms import Terms, index_of_flat, needs_table, term
from codegen.schedules.rule import Rule, Unconfigured
from devices.profile import Profile
from models.graph.index_map import Move


def space(workload: Workload, _profile: Profile) -> list[Unconfigured]:
    return [Unconfigured()] if workload.layer.op == "rearrange" else []


def make(workload: Workload, _weights: Weights, profile: Profile, _config: Unconfigured) -> Kernel:
    layer, output = workload.layer, workload.output
    vector = Vector.on(profile, output.lanes, workload.dtype)
    readers = [_MoveReader(workload, move, vector, number) for number, move in enumerate(layer.moves)]
    width, height = CPU_TILE if all(reader.is_quick for reader in readers) else (1, CPU_TILE[1])
    rows = tile_rows(output, vector, (width, height) if profile.gpu == "cpu" else (1, 1))
    constants = {name: table for reader in readers for name, table in reader.constants.items()}
    covered = sum(prod(move.index_map.sizes) for move in layer.moves) == prod(layer.out_shape)
    extents = {name: (len(table), "int32") for name, table in constants.items()}
    with kernel(workload.arguments(**extents), (output.channels, rows.down, rows.across), profile) as frame:
        channel, block, across = frame.axes
        values = registers(rows.width, vector.type, "values")
        for number in range(rows.height):
            row = block * rows.height + number
            for v in range(rows.width):
                if not (covered and len(readers) == 1):
                    put(values, v, vector.splat(layer.fill))
                for reader in readers:
                    reader.read(frame, values, v, channel, row, rows.column(across, v))
            finish(frame, workload, vector, rows, [(channel, True)], values, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], block, across)
    return Kernel(frame.func, constants)


class _MoveReader:
    """Writes the code that reads what one move contributes to an output vector.

    Attributes:
        constants: the tables that the code reads, int32, by argument name.
    """

    def __init__(self, workload: Workload, move: Move, vector: Vector, number: int) -> None:
        self.move, self.vector, self.number = move, vector, number
        self.plane: Plane = workload.inputs[move.operand]
        self.output = workload.output
        self.terms = Terms.of(move, self.plane)
        self.constants = {
            f"{name}{number}": table.astype(np.int32)
            for name, table in (("channels", self.terms.channels), ("rows", self.terms.rows))
            if needs_table(table)
        }
        if self.terms.step is None and not (self.terms.alternates and self.whole_rows):
            self.constants[f"columns{number}"] = self._padded_columns()
            if self.whole_rows and self._first_runs().any():
                self.constants[f"lanes{number}"] = self._first_runs()

    @property
    def is_quick(self) -> bool:
        """Whether a vector is one load or two, so that a work-item may make several."""
        straight = self.terms.step in (0, 1, 2) or self.terms.alternates
        return self.whole_rows and (straight or (self.terms.step is None and bool(self._first_runs().all())))

    @property
    def whole_rows(self) -> bool:
        """Whether the box spans all columns of the output."""
        return self.move.first[2] == 0 and len(self.terms.columns) == self.output.width

    def read(self, frame, values, at: int, channel, row, column) -> None:
        """Put into values[at] what the move says of the vector at `column`; leave the lanes that are not in its box."""
        inside = True
        places = []
        for axis, position in enumerate((channel, row)):
            first, size = self.move.first[axis], self.move.index_map.sizes[axis]
            places.append(position - first if first else position)
            for bound, limits in (
                (position >= first, first > 0),
                (position < first + size, first + size < self.output.shape[axis]),
            ):
                if limits:
                    inside = bound if inside is True else T.And(inside, bound)
        with when(inside):
            base = self.terms.base + self._term(frame, "channels", places[0]) + self._term(frame, "rows", places[1])
            if self.whole_rows:
                self._read_columns(frame, values, at, base, column)
            else:
                self._read_part(frame, values, at, base, column - self.move.first[2])

    def _term(self, frame, name: str, position):
        table = self.terms.channels if name == "channels" else self.terms.rows
        key = f"{name}{self.number}"
        return term(table, frame[key] if key in self.constants else None, position)

    def _read_columns(self, frame, values, at: int, base, column) -> None:
        """A vector of a box as wide as the output; its lanes beyond the image may be anything."""
        buffer, step, vector = frame[f"in{self.move.operand}"], self.terms.step, self.vector
        if step in (0, 1, 2):
            loaded = (
                vector.splat(buffer[base]) if step == 0 else vector.load_strided(buffer, base + column * step, step)
            )
            put(values, at, loaded)
            return
        if self.terms.alternates:
            even, odd = (vector.load(buffer, base + int(first) + column // 2) for first in self.terms.columns[:2])
            put(values, at, vector.interleave(even, odd)[0])
            return
        whole = self.output.width % vector.lanes == 0
        if step == -1:
            inside = column + vector.lanes <= self.output.width
            with when(True if whole else inside):
                put(values, at, self._turned(buffer, base + self._first_term - column))
            if not whole:
                with when(column + vector.lanes > self.output.width):
                    put(values, at, self._gathered(frame, base, column))
        elif f"lanes{self.number}" in self.constants:
            columns = frame[f"columns{self.number}"]
            lanes = frame[f"lanes{self.number}"][column // vector.lanes]
            with when(lanes > 0):  # neighbours in the source up to that lane, and neighbours elsewhere from it on
                first = vector.load(buffer, base + columns[column])
                second = vector.load(buffer, base + columns[column + vector.lanes - 1] - (vector.lanes - 1))
                put(values, at, vector.choose(vector.integers(T.int32(0) - lanes), first, second))
            with when(lanes == 0):
                put(values, at, self._gathered(frame, base, column))
        else:
            put(values, at, self._gathered(frame, base, column))

    def _read_part(self, frame, values, at: int, base, column) -> None:
        """A vector that reaches into a box that is narrower than the output; `column` counts from the box's first."""
        vector, size = self.vector, len(self.terms.columns)
        buffer = frame[f"in{self.move.operand}"]
        with when(T.And(column > -vector.lanes, column < size)):
            within = T.And(column >= 0, column + vector.lanes <= size)
            if self.terms.step == 1:
                with when(within):
                    put(values, at, vector.load(buffer, base + column))
            with when(T.Not(within) if self.terms.step == 1 else True):
                new = registers(1, vector.type, f"part{self.number}")
                put(new, 0, self._gathered(frame, base, column))
                put(new, 0, vector.choose(vector.integers(column - size), new[0], values[at]))
                put(values, at, vector.choose(vector.integers(column), values[at], new[0]))

    @property
    def _first_term(self) -> int:
        return int(self.terms.columns[0])

    def _turned(self, buffer, last):
        """The elements buffer[last], buffer[last - 1], ..."""
        lanes = self.vector.lanes
        loaded = self.vector.load(buffer, last - (lanes - 1))
        return self.vector.shuffle(loaded, loaded, range(lanes)[::-1])

    def _gathered(self, frame, base, column):
        """Each lane by itself; lanes outside the box read its nearest column."""
        buffer, size = frame[f"in{self.move.operand}"], len(self.terms.columns)
        lanes = []
        for lane in range(self.vector.lanes):
            position = T.max(T.min(column + lane, size - 1), 0)
            offset = self._column_term(frame, position)
            index = index_of_flat(self.plane, base + offset) if self.terms.carries else base + offset
            lanes.append(buffer[index])
        return self.vector.gather(lanes)

    def _column_term(self, frame, position):
        if self.terms.step is None:
            return frame[f"columns{self.number}"][position]
        return self._first_term + position * self.terms.step

    def _padded_columns(self) -> np.ndarray:
        """The terms of the columns, going on by 1 in the lanes beyond them."""
        columns, beyond = self.terms.columns, -len(self.terms.columns) % self.vector.lanes
        return np.concatenate([columns, columns[-1] + 1 + np.arange(beyond)]).astype(np.int32)

    def _first_runs(self) -> np.ndarray:
        """For each vector of columns how many are neighbours in the source, if the others are too; 0 where not."""
        lanes = self.vector.lanes
        vectors = self._padded_columns().reshape(-1, lanes)
        if self.terms.carries:
            return np.zeros(len(vectors), np.int32)
        breaks = np.diff(vectors, axis=1) != 1
        first = np.where(breaks.any(axis=1), breaks.argmax(axis=1) + 1, lanes)
        loadable = (breaks.sum(axis=1) < 2) & (vectors[:, -1] >= lanes - 1)
        return np.where(loadable, first, 0).astype(np.int32)


REARRANGE = Rule("rearrange", Unconfigured, space, make)
