"""Depthwise convolution: one filter per channel, any kernel, stride and dilation.

A work-item makes a tall tile of one channel: it walks down the input rows, loads each once per kernel column, and adds
it to every output row it belongs to, so that a 3x3 kernel reads each element three times instead of nine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codegen.builder import kernel, put, registers
from codegen.epilogue import finish, initial_addend
from codegen.rows import RowTiles, load_window
from codegen.schedules.rule import Rule
from codegen.vectors import Vector
from codegen.workload import Kernel, Weights, Workload
from devices.profile import Profile

#: multiply-add statements of one unrolled kernel; beyond, OpenCL compilers take long, for little speed
UNROLL_LIMIT = 300
MOST_VECTORS = 4
#: configurations worth timing
MOST_TILES = 8
#: what starting a work-item and its scattered first loads take, in multiply-adds
ITEM_COST = 60


@dataclass(frozen=True)
class TallTile:
    """Rows x vectors of one channel per work-item."""

    rows: int
    vectors: int

    def __str__(self) -> str:
        return f"R{self.rows}V{self.vectors}"


def space(workload: Workload, profile: Profile) -> list[TallTile]:
    """Tiles of little waste; none for anything but one filter per channel."""
    layer = workload.layer
    if layer.op != "conv" or not layer.groups == layer.in_shapes[0][0] == layer.out_shape[0]:
        return []
    positions = layer.kernel[0] * layer.kernel[1]
    if layer.groups == 1 or positions * profile.accumulators > 2 * UNROLL_LIMIT:
        return []
    # A CPU holds the live rows of a tall tile in registers whatever the tile's height; on a GPU every accumulator
    # stays live until its row is done, so tiles are bounded by the accumulators.
    most = max(UNROLL_LIMIT // positions if profile.gpu == "cpu" else profile.accumulators, 1)
    vectors, height = workload.output.vectors, workload.output.height
    tiles = [
        TallTile(rows, width)
        for width in range(1, min(vectors, MOST_VECTORS) + 1)
        for rows in range(1, min(height, most // width) + 1)
    ]
    return sorted(tiles, key=lambda tile: _cost(tile, workload))[:MOST_TILES]


def make(workload: Workload, weights: Weights, profile: Profile, tile: TallTile) -> Kernel:
    assert weights.weight is not None
    constants = {
        "weight": np.ascontiguousarray(weights.weight, np.float32).ravel(),
        "bias": weights.bias_or_zero(workload.layer.groups),
    }
    return Kernel(_write(workload, profile, tile.rows, tile.vectors), constants)


def _cost(tile: TallTile, workload: Workload) -> float:
    """Multiply-adds, loads and the start of a work-item, per useful vector: estimates that order the tiles."""
    layer, output = workload.layer, workload.output
    items = -(-output.height // tile.rows) * -(-output.vectors // tile.vectors)
    rows_read = (tile.rows - 1) * layer.stride[0] + (layer.kernel[0] - 1) * layer.dilation[0] + 1
    loads = min(rows_read, tile.rows * layer.kernel[0]) * layer.kernel[1] * tile.vectors * layer.stride[1]
    products = tile.rows * tile.vectors * layer.kernel[0] * layer.kernel[1]
    return items * (products + loads + ITEM_COST) / (output.height * output.vectors)


def _write(workload: Workload, profile: Profile, height: int, width: int):
    layer, source = workload.layer, workload.inputs[0]
    vector = Vector(source.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, width, height)
    positions = layer.kernel[0] * layer.kernel[1]
    arguments = workload.arguments(weight=layer.groups * positions, bias=layer.groups)
    with kernel(arguments, (layer.groups, rows.down, rows.across), profile) as frame:
        channel, block, across = frame.axes
        sums = [registers(width, vector.type, f"sums{r}") for r in range(height)]
        loaded = registers(width, vector.type, "loaded")
        factors = registers(positions, vector.type, "factors")
        for position in range(positions):
            put(factors, position, vector.splat(frame["weight"][channel * positions + position]))
        for input_row in range((height - 1) * layer.stride[0] + (layer.kernel[0] - 1) * layer.dilation[0] + 1):
            uses = _uses(input_row, height, layer)
            for r, ky in uses:
                if ky == 0:
                    _start(frame, workload, vector, rows, sums[r], channel, rows.existing(block, r)[0], across)
            for kx in range(layer.kernel[1] if uses else 0):
                for v in range(width):
                    # the first of these rows exists if any does
                    where = (channel, rows.existing(block, uses[0][0])[0], across, v, (uses[0][1], kx))
                    put(loaded, v, load_window(frame["in0"], workload, vector, rows, *where))
                for r, ky in uses:
                    for v in range(width):
                        product = loaded[v] * factors[ky * layer.kernel[1] + kx]
                        put(sums[r], v, sums[r][v] + product)
            for r, ky in uses:
                if ky == layer.kernel[0] - 1:
                    row, exists = rows.existing(block, r)
                    finish(frame, workload, vector, rows, [(channel, exists)], sums[r], row, across)
        rows.zero_borders(frame["out"], [(channel, True)], block, across)
    return frame.func


def _uses(input_row: int, height: int, layer) -> list[tuple[int, int]]:
    """(output row of the tile, kernel row) pairs that read an input row, counted from the tile's first."""
    return [
        (r, ky)
        for r in range(height)
        for ky in range(layer.kernel[0])
        if r * layer.stride[0] + ky * layer.dilation[0] == input_row
    ]


def _start(frame, workload: Workload, vector: Vector, rows: RowTiles, sums, channel, row, across) -> None:
    for v in range(rows.width):
        start = vector.splat(frame["bias"][channel])
        addend = initial_addend(frame, workload, vector, channel, row, rows.column(across, v))
        put(sums, v, start if addend is None else start + addend)


DEPTHWISE = Rule("depthwise", TallTile, space, make)
