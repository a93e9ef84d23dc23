"""Max and average pooling. Bounded by memory; a work-item makes one vector of one row of one channel."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.builder import kernel, put, registers
from codegen.epilogue import finish
from codegen.rows import RowTiles, load_window
from codegen.schedules.rule import Rule, Unconfigured
from codegen.vectors import Vector
from codegen.workload import Kernel, Weights, Workload
from devices.profile import Profile


def space(workload: Workload, profile: Profile) -> list[Unconfigured]:
    return [Unconfigured()] if workload.layer.op in ("max_pool", "avg_pool") else []


def make(workload: Workload, weights: Weights, profile: Profile, config: Unconfigured) -> Kernel:
    return Kernel(_write(workload, profile))


def _write(workload: Workload, profile: Profile):
    layer = workload.layer
    vector = Vector(workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, 1)
    with kernel(workload.arguments(), (workload.output.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        sums = registers(1, vector.type, "sums")
        put(sums, 0, vector.splat(0.0) if layer.op == "avg_pool" else vector.lowest())
        column = rows.column(across, 0)
        with T.serial(0, layer.kernel[0]) as ky, T.serial(0, layer.kernel[1]) as kx:
            if layer.op == "max_pool":
                put(sums, 0, T.max(sums[0], _load_clamped(frame, workload, vector, channel, row, column, ky, kx)))
            else:
                where = (channel, row, across, 0, (ky, kx))  # averages read the input's zero borders
                put(sums, 0, sums[0] + load_window(frame["in0"], workload, vector, rows, *where))
        if layer.op == "avg_pool":
            put(sums, 0, sums[0] / _divisor(workload, vector, row, column))
        finish(frame, workload, vector, rows, [(channel, True)], sums, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return frame.func


def _position(layer, row, column, ky, kx) -> tuple:
    """Input row and column of a kernel position; may lie in the padding."""
    return (
        row * layer.stride[0] + ky * layer.dilation[0] - layer.padding[0],
        column * layer.stride[1] + kx * layer.dilation[1] - layer.padding[1],
    )


def _load_clamped(frame, workload: Workload, vector: Vector, channel, row, column, ky, kx):
    """Maxima must not see zeros, so positions in the padding repeat the window's nearest position in the image.

    Steps of a whole dilation keep the repeated position within the window.
    """
    layer, source = workload.layer, workload.inputs[0]
    elements = []
    for lane in range(vector.lanes):
        y, x = _position(layer, row, column + lane, ky, kx)
        y = _into(y, source.height, layer.dilation[0])
        x = _into(x, source.width, layer.dilation[1])
        elements.append(frame["in0"][source.index(channel, y, x)])
    return vector.gather(elements)


def _into(position, extent: int, step: int):
    """`position` moved by multiples of `step` into [0, extent); clamped where no multiple lies inside."""
    if step == 1:
        return T.max(T.min(position, extent - 1), 0)
    below = T.max((step - 1 - position) // step, 0) * step
    above = T.max((position - extent + step) // step, 0) * step
    return T.max(T.min(position + below - above, extent - 1), 0)


def _divisor(workload: Workload, vector: Vector, row, column):
    """Elements averaged, lane by lane; the padding counts iff the layer says so."""
    layer, source = workload.layer, workload.inputs[0]
    if layer.count_include_pad or layer.padding == (0, 0):
        return vector.splat(float(layer.kernel[0] * layer.kernel[1]))

    def inside(position, extent: int, axis: int):
        start = position * layer.stride[axis] - layer.padding[axis]
        return T.min(start + layer.kernel[axis], extent) - T.max(start, 0)

    counts = [inside(row, source.height, 0) * inside(column + lane, source.width, 1) for lane in range(vector.lanes)]
    return vector.gather([T.Cast(vector.dtype, T.max(count, 1)) for count in counts])


POOL = Rule("pool", Unconfigured, space, make)
