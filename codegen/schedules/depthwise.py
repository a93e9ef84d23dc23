"""Depthwise convolution: one filter per channel, any kernel, stride and dilation.

A work-item makes a tall tile of one channel: it walks down the input rows, loads each once per kernel column, and adds
it to every output row it belongs to, so that a 3x3 kernel reads each element three times instead of nine. Only the
output rows that a window's height overlaps are unfinished at a time; their accumulators take turns, and the loop is
unrolled until each has had its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel, put, registers
from codegen.kernels.epilogue import finish, initial_addend
from codegen.kernels.rows import RowTiles, load_columns
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.rule import Rule
from devices.profile import Profile
from models.graph.layer import Layer

#: multiply-add statements of one unrolled turn; beyond, OpenCL compilers take seconds
UNROLL_LIMIT = 400
MOST_VECTORS = 4
#: configurations worth timing
MOST_TILES = 8
#: rows of a GPU's tiles; its work-items hide latency by their number
MOST_ROWS_OF_GPU = 16
#: fewer cannot be shared evenly among cores
LEAST_ITEMS = 64
#: more of them, held for a whole tile, crowd a GPU's registers
MANY_WEIGHTS = 9
#: what starting a work-item takes, and each input row beside its loads, in multiply-adds
ITEM_COST, ROW_COST = 60, 4


@dataclass(frozen=True)
class TallTile:
    """Rows x vectors of one channel per work-item."""

    rows: int
    vectors: int

    def __str__(self) -> str:
        return f"R{self.rows}V{self.vectors}"


class Turn:
    """How accumulators take turns.

    Attributes:
        live: output rows unfinished at a time, each with accumulators of its own.
        rows: input rows until every one of them has been finished once.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.span = (layer.kernel[0] - 1) * layer.dilation[0] + 1
        self.live = -(-self.span // layer.stride[0])
        self.rows = self.live * layer.stride[0]

    def count(self, height: int) -> int:
        """Turns that make `height` output rows."""
        return -(-((height - 1) * self.layer.stride[0] + self.span) // self.rows)

    def uses(self, number: int) -> list[tuple[int, int]]:
        """(output row, kernel row) pairs that read input row `number` of a turn. Output rows count from the first that
        begins in the turn; those below zero began in the one before."""
        layer = self.layer
        starts = [(number - ky * layer.dilation[0], ky) for ky in range(layer.kernel[0])]
        return [(start // layer.stride[0], ky) for start, ky in starts if start % layer.stride[0] == 0]

    def products(self) -> int:
        """Multiply-adds of a turn per vector."""
        return self.live * self.layer.kernel[0] * self.layer.kernel[1]


def space(workload: Workload, profile: Profile) -> list[TallTile]:
    """Tiles of least estimated work; none for anything but one filter per channel."""
    layer, output = workload.layer, workload.output
    if not layer.convolves or not layer.groups == layer.in_shapes[0][0] == layer.out_shape[0] > 1:
        return []
    turn = Turn(layer)
    in_registers = max(profile.accumulators // (turn.live + 1) // _registers_apart(layer, profile), 1)
    most = min(MOST_VECTORS, output.vectors, in_registers, UNROLL_LIMIT // turn.products())
    heights = dict.fromkeys(-(-output.height // parts) for parts in (1, 2, 3, 4, 6, 8, 12, 16))
    rows = [height for height in heights if profile.gpu == "cpu" or height <= MOST_ROWS_OF_GPU] or [MOST_ROWS_OF_GPU]
    tiles = [TallTile(height, vectors) for vectors in range(1, most + 1) for height in rows]
    return sorted(tiles, key=lambda tile: _cost(tile, workload))[:MOST_TILES]


def _registers_apart(layer: Layer, profile: Profile) -> int:
    """By how much a GPU's weights and input leave less room for sums: twice, where many weights are held and vectors of
    every second element are made of two. With 5x5 weights at stride 2, Mesa's compilers spill 188 times for an Adreno
    730 and 27 times for a Mali-G76 otherwise, in half."""
    crowded = profile.streams and layer.stride[1] > 1 and layer.kernel[0] * layer.kernel[1] > MANY_WEIGHTS
    return 2 if crowded else 1


def _cost(tile: TallTile, workload: Workload) -> tuple[bool, float]:
    """Whether work-items are too few to share; multiply-adds, loads and starts of work-items. Orders the tiles."""
    layer, output, turn = workload.layer, workload.output, Turn(workload.layer)
    items = -(-output.height // tile.rows) * -(-output.vectors // tile.vectors)
    turns = turn.count(tile.rows)
    loads = turn.rows * layer.kernel[1] * layer.stride[1]
    cost = items * (ITEM_COST + turns * (turn.rows * ROW_COST + (turn.products() + loads) * tile.vectors))
    return items * output.channels < LEAST_ITEMS, cost


def make(workload: Workload, weights: Weights, profile: Profile, tile: TallTile) -> Kernel:
    assert weights.weight is not None
    constants = {
        "weight": np.ascontiguousarray(weights.weight, np.float32).ravel(),
        "bias": weights.bias_or_zero(workload.layer.groups),
    }
    return Kernel(_write(workload, profile, tile), constants)


def _write(workload: Workload, profile: Profile, tile: TallTile):  # noqa: C901  the loops of one kernel
    layer, turn = workload.layer, Turn(workload.layer)
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, tile.vectors, tile.rows)
    positions = layer.kernel[0] * layer.kernel[1]
    arguments = workload.arguments(weight=layer.groups * positions, bias=layer.groups)
    with kernel(arguments, (layer.groups, rows.down, rows.across), profile) as frame:
        channel, block, across = frame.axes
        sums = [registers(tile.vectors, vector.type, f"sums{number}") for number in range(turn.live)]
        loaded = registers(tile.vectors, vector.type, "loaded")
        factors = registers(positions, vector.type, "factors")
        for position in range(positions):
            put(factors, position, vector.splat(frame["weight"][channel * positions + position]))
        for number in range(turn.live):
            for v in range(tile.vectors):
                put(sums[number], v, vector.splat(0))
        with T.serial(0, turn.count(tile.rows)) as turns:
            for number in range(turn.rows):
                uses = turn.uses(number)
                for r, ky in uses:
                    if ky == 0:
                        row, _ = _row(rows, block, turns * turn.live, r)
                        _start(frame, workload, vector, rows, sums[r % turn.live], channel, row, across)
                y = block * tile.rows * layer.stride[0] + turns * turn.rows + number
                y = T.min(y - layer.padding[0], workload.inputs[0].height + layer.padding[0] - 1)
                for kx in range(layer.kernel[1] if uses else 0):
                    for v in range(tile.vectors):
                        where = (channel, y, across, v, kx)
                        put(loaded, v, load_columns(frame["in0"], workload, vector, rows, *where))
                    for r, ky in uses:
                        for v in range(tile.vectors):
                            product = loaded[v] * factors[ky * layer.kernel[1] + kx]
                            put(sums[r % turn.live], v, sums[r % turn.live][v] + product)
                for r, ky in uses:
                    if ky == layer.kernel[0] - 1:
                        row, exists = _row(rows, block, turns * turn.live, r)
                        finish(frame, workload, vector, rows, [(channel, exists)], sums[r % turn.live], row, across)
        rows.zero_borders(frame["out"], [(channel, True)], block, across)
    return frame.func


def _row(rows: RowTiles, block, first, number: int) -> tuple:
    """Row first + number of a block of rows, held within the image, and whether the block has it."""
    within = first + number
    row = block * rows.height + within
    exists = T.And(within >= 0, T.And(within < rows.height, row < rows.plane.height))
    return T.min(T.max(row, 0), rows.plane.height - 1), exists


def _start(frame, workload: Workload, vector: Vector, rows: RowTiles, sums, channel, row, across) -> None:
    for v in range(rows.width):
        start = vector.splat(frame["bias"][channel])
        addend = initial_addend(frame, workload, vector, channel, row, rows.column(across, v))
        put(sums, v, start if addend is None else start + addend)


DEPTHWISE = Rule("depthwise", TallTile, space, make)
