"""Pools of large windows, such as global ones, and adaptive pools, whose windows differ in size.

A window is read in whole vectors, row after row, and its lanes are combined at the end: where windows hardly overlap,
that reads each element once. A work-item makes one vector of the output, a window for each of its lanes.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, kernel, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.pool import UNROLLED_POSITIONS
from codegen.schedules.rule import Rule, Unconfigured
from devices.profile import Profile
from models.graph.layer import Layer
from models.graph.pooling import ADAPTIVE


def space(workload: Workload, _profile: Profile) -> list[Unconfigured]:
    """Adaptive pools, and large windows that overlap their neighbours by half at most."""
    layer = workload.layer
    if layer.op not in ("max_pool", "avg_pool"):
        return []
    large = layer.kernel[0] * layer.kernel[1] > UNROLLED_POSITIONS and layer.dilation == (1, 1)
    apart = layer.out_shape[2] == 1 or 2 * layer.stride[1] >= layer.kernel[1]
    return [Unconfigured()] if layer.mode == ADAPTIVE or (large and apart) else []


def make(workload: Workload, _weights: Weights, profile: Profile, _config: Unconfigured) -> Kernel:
    output = workload.output
    vector = Vector.on(profile, output.lanes, workload.dtype)
    sums = Vector.on(profile, output.lanes)  # of float32: sums of half precision would lose what large windows add
    rows = RowTiles(output, vector, 1)
    with kernel(workload.arguments(), (output.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        result = registers(1, vector.type, "result")
        # a cell's value stands in all lanes: each store overwrites all but the first of the one before
        cells = registers(2 * vector.lanes, "float32", "cells")
        put(cells, 2 * vector.lanes - 1, sums.scalar(0))  # TVM keeps of a buffer what it sees written by index
        first = rows.column(across, 0)
        with T.serial(0, T.min(output.width - first, vector.lanes)) as lane:
            value = _combine(frame, workload, vector, sums, channel, row, first + lane)
            emit(sums.store(value, cells, lane))
        put(result, 0, _narrow(vector, sums.load(cells, 0)))
        finish(frame, workload, vector, rows, [(channel, True)], result, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return Kernel(frame.func)


def _combine(frame, workload: Workload, vector: Vector, sums: Vector, channel, row, column):
    """The maximum or average of one window, in all lanes."""
    layer, source = workload.layer, workload.inputs[0]
    largest = layer.op == "max_pool"
    neutral = sums.lowest() if largest else sums.splat(0.0)
    ends = registers(4, "int32", "ends")
    for axis, position in enumerate((row, column)):
        for number, end in enumerate(_window(layer, axis, position)):
            put(ends, 2 * axis + number, end)
    combined, loaded = (registers(1, sums.type, name) for name in ("combined", "loaded"))

    def both(a, b):
        return T.max(a, b) if largest else a + b

    put(combined, 0, neutral)
    with (
        T.serial(0, ends[1] - ends[0]) as down,
        T.serial(0, (ends[3] - ends[2] + vector.lanes - 1) // vector.lanes) as part,
    ):
        x = ends[2] + part * vector.lanes
        put(loaded, 0, sums.convert(vector.load(frame["in0"], source.index(channel, ends[0] + down, x)), vector.dtype))
        put(combined, 0, both(combined[0], sums.choose(sums.integers(x - ends[3]), loaded[0], neutral)))
    step = sums.lanes // 2
    while step:
        turned = [(lane + step) % sums.lanes for lane in range(sums.lanes)]
        put(combined, 0, both(combined[0], sums.shuffle(combined[0], combined[0], turned)))
        step //= 2
    if largest:
        return combined[0]
    return combined[0] / sums.splat(T.Cast("float32", _divisor(layer, ends, row, column)))


def _window(layer: Layer, axis: int, position) -> tuple:
    """Where a window begins in the input, and where it ends, the padding left out."""
    extent, outputs = layer.in_shapes[0][1 + axis], layer.out_shape[1 + axis]
    if layer.mode == ADAPTIVE:
        return position * extent // outputs, ((position + 1) * extent + outputs - 1) // outputs
    start = position * layer.stride[axis] - layer.padding[axis]
    return T.max(start, 0), T.min(start + layer.kernel[axis], extent)


def _divisor(layer: Layer, ends, row, column):
    """Elements that the average is divided by."""
    if layer.divisor:
        return layer.divisor
    if layer.mode == ADAPTIVE or not layer.count_include_pad or layer.padding == (0, 0):
        return T.max((ends[1] - ends[0]) * (ends[3] - ends[2]), 1)
    counts = []
    for axis, position in enumerate((row, column)):
        start = position * layer.stride[axis] - layer.padding[axis]
        end = T.min(start + layer.kernel[axis], layer.in_shapes[0][1 + axis] + layer.padding[axis])
        counts.append(end - start)
    return counts[0] * counts[1]


def _narrow(vector: Vector, value):
    return vector.convert(value, "float32")


REGIONS = Rule("regions", Unconfigured, space, make)
