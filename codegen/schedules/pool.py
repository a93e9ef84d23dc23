"""Max and average pooling. Bounded by memory; a work-item makes `rows` x `vectors` vectors of one channel.

The rows of a window are combined first, while they are still plain vectors: only their result is taken apart where the
stride along the row is 2, or masked where positions lie in the padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles, load_window
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import SLACK_VECTORS
from codegen.schedules.rule import Rule
from devices.profile import Profile
from models.graph.layer import Layer
from models.graph.pooling import ADAPTIVE, overhang

#: kernels of more positions loop over them
UNROLLED_POSITIONS = 25
#: rows x vectors of a work-item: enough for starting it to cost little
MOST_VECTORS = 16


@dataclass(frozen=True)
class PoolTile:
    """Rows x vectors of one channel per work-item."""

    rows: int
    vectors: int

    def __str__(self) -> str:
        return f"R{self.rows}V{self.vectors}"


def space(workload: Workload, profile: Profile) -> list[PoolTile]:
    """Tiles that divide the image; on a CPU the largest first, on a GPU single vectors."""
    layer, output = workload.layer, workload.output
    if layer.op not in ("max_pool", "avg_pool") or layer.mode == ADAPTIVE:
        return []
    if layer.kernel[0] * layer.kernel[1] > UNROLLED_POSITIONS:
        return [PoolTile(1, 1)]
    heights = [rows for rows in (1, 2, 4, 8) if output.height % rows == 0]
    widths = [vectors for vectors in range(1, 5) if output.vectors % vectors == 0]
    tiles = [PoolTile(rows, vectors) for rows in heights for vectors in widths if rows * vectors <= MOST_VECTORS]
    return sorted(tiles, key=lambda tile: tile.rows * tile.vectors, reverse=profile.gpu == "cpu")


def make(workload: Workload, _weights: Weights, profile: Profile, tile: PoolTile) -> Kernel:
    layer = workload.layer
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, tile.vectors, tile.rows)
    window = _window(workload, vector, rows)
    with kernel(workload.arguments(), (workload.output.channels, rows.down, rows.across), profile) as frame:
        channel, block, across = frame.axes
        sums = registers(tile.vectors, vector.type, "sums")
        for number in range(tile.rows):
            row = block * tile.rows + number
            for v in range(tile.vectors):
                put(sums, v, vector.splat(0.0) if layer.op == "avg_pool" else vector.lowest())
                for value in window(frame["in0"], channel, row, across, v):
                    put(sums, v, T.max(sums[v], value) if layer.op == "max_pool" else sums[v] + value)
                if layer.op == "avg_pool":
                    put(sums, v, sums[v] / _divisor(workload, vector, row, rows.column(across, v)))
            finish(frame, workload, vector, rows, [(channel, True)], sums, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], block, across)
    return Kernel(frame.func)


def _window(workload: Workload, vector: Vector, rows: RowTiles) -> Callable[..., Iterator]:
    """The way to go through the values that a window combines: (buffer, channel, row, tile, vector) -> vectors."""
    layer = workload.layer
    unrolled = layer.kernel[0] * layer.kernel[1] <= UNROLLED_POSITIONS and layer.stride[1] <= 2
    visit = _rows_first if unrolled and _stays_inside(workload, rows) else _each_position

    def window(buffer, channel, row, across, number):
        yield from visit(buffer, workload, vector, rows, channel, row, across, number)

    return window


def _stays_inside(workload: Workload, rows: RowTiles) -> bool:
    """Whether whole vectors of every window lie in the buffer."""
    layer, source = workload.layer, workload.inputs[0]
    columns = rows.across * rows.width * source.lanes * layer.stride[1] + layer.kernel[1] * layer.dilation[1]
    return columns + source.lanes < source.pitch + SLACK_VECTORS * source.lanes


def _rows_first(buffer, workload: Workload, vector: Vector, rows: RowTiles, channel, row, across, number) -> Iterator:
    """One vector per column of the kernel, its rows combined."""
    layer, source = workload.layer, workload.inputs[0]
    step = layer.stride[1]
    column = rows.column(across, number)
    combined = registers(step, vector.type, "combined")
    for tap in sorted({_tap(layer, kx) // step * step for kx in range(layer.kernel[1])}):
        taps = [kx for kx in range(layer.kernel[1]) if _tap(layer, kx) // step * step == tap]
        for part in range(step):
            for ky in range(layer.kernel[0]):
                y = _row(layer, source.height, row, ky)
                value = vector.load(buffer, source.index(channel, y, column * step + tap + part * vector.lanes))
                put(combined, part, value if ky == 0 else _both(layer, combined[part], value))
        for kx in taps:
            odd = _tap(layer, kx) - tap
            value = combined[0] if step == 1 else vector.deinterleave(combined[0], combined[1], odd)
            yield _mask_padding(workload, vector, value, column, kx)


def _each_position(
    buffer, workload: Workload, vector: Vector, rows: RowTiles, channel, row, across, number
) -> Iterator:
    """One vector per position; a loop in the kernel."""
    layer, source = workload.layer, workload.inputs[0]
    column = rows.column(across, number)
    plain = layer.stride[1] == 1 and _stays_inside(workload, rows)
    with T.serial(0, layer.kernel[0]) as ky, T.serial(0, layer.kernel[1]) as kx:
        if layer.op == "avg_pool":
            yield load_window(buffer, workload, vector, rows, channel, row, across, number, (ky, kx))
        else:
            y = _row(layer, source.height, row, ky)
            if plain:
                value = vector.load(buffer, source.index(channel, y, column + _tap(layer, kx)))
                yield _mask_padding(workload, vector, value, column, kx)
                return
            places = [(column + lane) * layer.stride[1] + _tap(layer, kx) for lane in range(vector.lanes)]
            clamped = [T.max(T.min(place, source.width - 1), 0) for place in places]
            value = vector.gather([buffer[source.index(channel, y, place)] for place in clamped])
            yield _mask_padding(workload, vector, value, column, kx)


def _both(layer: Layer, first, second):
    return T.max(first, second) if layer.op == "max_pool" else first + second


def _tap(layer: Layer, kx):
    """How far kernel column kx reads to the right of the output's column times the stride."""
    return kx * layer.dilation[1] - layer.padding[1]


def _row(layer: Layer, height: int, row, ky):
    """Input row of kernel row ky. Averages read the zero rows of the padding; maxima repeat a row of the window.

    Steps of a whole dilation keep the repeated row within the window.
    """
    y = row * layer.stride[0] + ky * layer.dilation[0] - layer.padding[0]
    if layer.op == "avg_pool" or (layer.padding[0] == 0 and not overhang(layer, 0)):
        return y
    step = layer.dilation[0]
    if step == 1:
        return T.max(T.min(y, height - 1), 0)
    below = T.max((step - 1 - y) // step, 0) * step
    above = T.max((y - height + step) // step, 0) * step
    return T.max(T.min(y + below - above, height - 1), 0)


def _mask_padding(workload: Workload, vector: Vector, value, column, kx):
    """`value`, for maxima lowest in the lanes whose position lies in the padding."""
    layer, width = workload.layer, workload.inputs[0].width
    if layer.op == "avg_pool":
        return value
    first = column * layer.stride[1] + _tap(layer, kx)
    known = isinstance(kx, int)
    if not known or _tap(layer, kx) < 0:
        value = vector.choose(vector.integers(first, layer.stride[1]), vector.lowest(), value)
    if not known or (layer.out_shape[2] - 1) * layer.stride[1] + _tap(layer, kx) >= width:
        value = vector.choose(vector.integers(first - width, layer.stride[1]), value, vector.lowest())
    return value


def _divisor(workload: Workload, vector: Vector, row, column):
    """Elements averaged, lane by lane; the padding counts iff the layer says so, what lies beyond it never does."""
    layer, source = workload.layer, workload.inputs[0]
    if layer.divisor:
        return vector.splat(float(layer.divisor))
    within = all(overhang(layer, axis) <= layer.padding[axis] for axis in (0, 1))
    if within and (layer.count_include_pad or layer.padding == (0, 0)):
        return vector.splat(float(layer.kernel[0] * layer.kernel[1]))

    def inside(position, extent: int, axis: int):
        counted = layer.padding[axis] if layer.count_include_pad else 0
        start = position * layer.stride[axis] - layer.padding[axis]
        return T.min(start + layer.kernel[axis], extent + counted) - T.max(start, -counted)

    counts = [inside(row, source.height, 0) * inside(column + lane, source.width, 1) for lane in range(vector.lanes)]
    return vector.gather([T.Cast(vector.dtype, T.max(count, 1)) for count in counts])


POOL = Rule("pool", PoolTile, space, make)
