"""The first and the last grid of a Winograd convolution: image to transformed tiles, and back."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.builder import emit, put, registers, when
from codegen.epilogue import finish
from codegen.rows import RowTiles
from codegen.schedules.winograd_transforms import Registers, input_1d, output_1d, phases, spread
from codegen.vectors import Vector
from codegen.workload import Workload


def write_input_grid(frame, workload: Workload, tiling, vector: Vector) -> None:
    """V of every tile; a work-item has one channel, or one vector of tiles where rows of tiles are whole vectors."""
    channels = workload.inputs[0].channels
    if not tiling.dense:
        with frame.grid((channels, tiling.down, tiling.vectors_across)) as (channel, down, part):
            _transform_tiles(frame, workload, tiling, vector, channel, down, part)
        return
    with frame.grid((channels,)) as (channel,), T.serial(0, tiling.down) as down:  # noqa: SIM117
        with T.serial(0, tiling.vectors_across) as part:
            _transform_tiles(frame, workload, tiling, vector, channel, down, part)


def _transform_tiles(frame, workload: Workload, tiling, vector: Vector, channel, down, part) -> None:
    """B' d B of one vector of tiles: along each of the n image rows first, then across them."""
    plane, layer, m, n = workload.inputs[0], workload.layer, tiling.m, tiling.n
    temporary = Registers(6 * m, vector, "taken_apart")
    along, across = registers(n * n, vector.type, "along"), registers(n, vector.type, "across")
    column = part * m * vector.lanes - layer.padding[1]
    with T.serial(0, n) as r:
        row = down * m + r - layer.padding[0]
        # rows beyond the image are zero like the border row above it; what follows that in memory is finite
        row = T.Select(T.And(row >= 0, row < plane.height), row, -1)

        def loads(first) -> list:
            places = [plane.index(channel, row, column + first + k * vector.lanes) for k in range(m)]
            return [temporary.keep(vector.load(frame["in0"], place)) for place in places]

        taken = phases(loads(0), m, vector, temporary.keep) + phases(loads(m), n - m, vector, temporary.keep)
        for j, value in enumerate(input_1d(taken, m, vector.splat)):
            put(along, r * n + j, value)
    tile = down * tiling.across + part * vector.lanes
    with T.serial(0, n) as j:
        for i, value in enumerate(input_1d([along[r * n + j] for r in range(n)], m, vector.splat)):
            put(across, i, value)
        for i in range(n):
            index = tiling.index(i * n + j, plane.channels, channel, tile)
            emit(vector.store(across[i], frame["v"], index))


def write_output_grid(frame, workload: Workload, tiling, vector: Vector) -> None:
    """The m x m outputs of every tile, with bias and epilogue; a work-item has one vector of tiles of one channel."""
    plane, m, n = workload.output, tiling.m, tiling.n
    rows = RowTiles(plane, vector, m)
    with frame.grid((plane.channels, tiling.down, tiling.vectors_across)) as (channel, down, part):
        column, temporary = registers(n, vector.type, "column"), Registers(4 * m, vector, "put_together")
        down_columns, sums = registers(m * n, vector.type, "down"), registers(m, vector.type, "sums")
        first = down * tiling.across + part * vector.lanes
        with T.serial(0, n) as j:
            for i in range(n):
                put(column, i, vector.load(frame["m"], tiling.index(i * n + j, plane.channels, channel, first)))
            for i, value in enumerate(output_1d([column[i] for i in range(n)], m, vector.splat)):
                put(down_columns, i * n + j, value)
        with T.serial(0, m) as i:
            row = down * m + i
            values = output_1d([down_columns[i * n + j] for j in range(n)], m, vector.splat)
            for v, value in enumerate(spread([temporary.keep(value) for value in values], vector, temporary.keep)):
                put(sums, v, value + vector.splat(frame["bias"][channel]))
            with when(True if plane.height % m == 0 else row < plane.height):
                owned = [(channel, True)]
                finish(frame, workload, vector, rows, owned, sums, row, part, started=False)
                rows.zero_borders(frame["out"], owned, row, part)
