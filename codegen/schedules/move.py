"""Layers that only move data: elementwise (an epilogue alone), concat, resize, and the network's input and output."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.builder import Arguments, emit, kernel, put, registers, when
from codegen.epilogue import finish
from codegen.plane import Plane
from codegen.rows import RowTiles
from codegen.schedules.rule import Rule, Unconfigured
from codegen.vectors import Vector
from codegen.workload import Kernel, Weights, Workload
from devices.profile import Profile


def make_elementwise(workload: Workload, weights: Weights, profile: Profile, config: Unconfigured) -> Kernel:
    """Activations and adds that could not be fused into the layer before them."""
    vector = Vector(workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, 1)
    with kernel(workload.arguments(), (workload.output.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        sums = registers(1, vector.type, "sums")
        index = workload.inputs[0].index(channel, row, rows.column(across, 0))
        put(sums, 0, vector.load(frame["in0"], index))
        finish(frame, workload, vector, rows, [(channel, True)], sums, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return Kernel(frame.func)


def make_concat(workload: Workload, weights: Weights, profile: Profile, config: Unconfigured) -> Kernel:
    """Channel-wise joins. Inputs lie in planes like the output's, so whole planes are copied, borders too."""
    target = workload.output
    vector = Vector(target.lanes, workload.dtype)
    with kernel(workload.arguments(), (target.channels, -(-target.stride // target.lanes)), profile) as frame:
        channel, part = frame.axes
        first = 0
        for number, plane in enumerate(workload.inputs):
            if (plane.stride, plane.border) != (target.stride, target.border):
                raise ValueError(f"concat of unlike planes: {plane} into {target}")
            with when(T.And(channel >= first, channel < first + plane.channels)):
                value = vector.load(frame[f"in{number}"], plane.start(T.max(channel - first, 0)) + part * target.lanes)
                emit(vector.store(value, frame["out"], target.start(channel) + part * target.lanes))
            first += plane.channels
    return Kernel(frame.func)


def make_resize(workload: Workload, weights: Weights, profile: Profile, config: Unconfigured) -> Kernel:
    """Nearest and bilinear resizing, as torch.nn.functional.interpolate defines them."""
    layer = workload.layer
    vector = Vector(workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, 1)
    sample = _nearest if layer.mode == "nearest" else _bilinear
    with kernel(workload.arguments(), (workload.output.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        sums = registers(1, vector.type, "sums")
        columns = [rows.column(across, 0) + lane for lane in range(vector.lanes)]
        put(sums, 0, vector.gather([sample(frame["in0"], workload, channel, row, column) for column in columns]))
        finish(frame, workload, vector, rows, [(channel, True)], sums, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return Kernel(frame.func)


def _nearest(buffer, workload: Workload, channel, row, column):
    """Input element floor(position x in / out)."""
    source, target = workload.inputs[0], workload.output
    y = T.min(row * source.height // target.height, source.height - 1)
    x = T.min(column * source.width // target.width, source.width - 1)
    return buffer[source.index(channel, y, x)]


def _bilinear(buffer, workload: Workload, channel, row, column):
    source, target, corners = workload.inputs[0], workload.output, workload.layer.align_corners
    y0, y1, down = _between(row, source.height, target.height, corners, workload.dtype)
    x0, x1, right = _between(column, source.width, target.width, corners, workload.dtype)

    def at(y, x):
        return buffer[source.index(channel, y, x)]

    top = at(y0, x0) + (at(y0, x1) - at(y0, x0)) * right
    bottom = at(y1, x0) + (at(y1, x1) - at(y1, x0)) * right
    return top + (bottom - top) * down


def _between(position, extent: int, new_extent: int, corners: bool, dtype: str) -> tuple:
    """The two input positions around an output position, and how far it is from the first to the second.

    In integers, so exact at every size: position = numerator / denominator.
    """
    if corners:
        numerator, denominator = position * (extent - 1), max(new_extent - 1, 1)
    else:
        numerator, denominator = T.max((2 * position + 1) * extent - new_extent, 0), 2 * new_extent
    low = T.min(numerator // denominator, extent - 1)
    rest = numerator - low * denominator
    return low, T.min(low + 1, extent - 1), T.Cast(dtype, rest) * (1.0 / denominator)


def import_kernel(plane: Plane, profile: Profile, dtype: str = "float32") -> Kernel:
    """From the user's dense float32 (1, C, H, W) tensor into planes of `dtype` with zero borders."""
    vector = Vector(plane.lanes, dtype)
    rows = RowTiles(plane, vector, 1)
    arguments: Arguments = {"in0": ((1, *plane.shape), "float32"), "out": (plane.size, dtype)}
    with kernel(arguments, (plane.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        columns = [T.min(rows.column(across, 0) + lane, plane.width - 1) for lane in range(plane.lanes)]
        value = registers(1, vector.type, "value")
        put(value, 0, vector.gather([T.Cast(dtype, frame["in0"][0, channel, row, column]) for column in columns]))
        rows.store(value, 0, frame["out"], channel, row, across)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return Kernel(frame.func)


def export_kernel(plane: Plane, profile: Profile, dtype: str = "float32") -> Kernel:
    """From planes of `dtype` back to the dense float32 (1, C, H, W) tensor."""
    arguments: Arguments = {"in0": (plane.size, dtype), "out": ((1, *plane.shape), "float32")}
    with kernel(arguments, (plane.channels, plane.height, plane.vectors), profile) as frame:
        channel, row, across = frame.axes
        for lane in range(plane.lanes):
            column = across * plane.lanes + lane
            with when(column < plane.width):
                value = frame["in0"][plane.index(channel, row, column)]
                put(frame["out"], (0, channel, row, column), T.Cast("float32", value))
    return Kernel(frame.func)


def _space(*operations: str, epilogue: bool = True):
    """The space of a rule that answers `operations`, with nothing to choose; `epilogue`: those with an epilogue too."""

    def space(workload: Workload, profile: Profile) -> list[Unconfigured]:
        layer = workload.layer
        return [Unconfigured()] if layer.op in operations and (epilogue or not layer.epilogue) else []

    return space


ELEMENTWISE = Rule("elementwise", Unconfigured, _space("elementwise"), make_elementwise)
CONCAT = Rule("concat", Unconfigured, _space("concat", epilogue=False), make_concat)
RESIZE = Rule("resize", Unconfigured, _space("resize"), make_resize)
