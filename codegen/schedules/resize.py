"""Nearest and bilinear resizing, as torch.nn.functional.interpolate defines them.

Doubling the width, the usual case, is done on whole vectors: two output vectors are the even and the odd columns of one
input vector, interleaved. Any other ratio reads element by element.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.rule import Rule, Unconfigured
from devices.profile import Profile
from models.graph.resizing import reads_whole_fractions


def space(workload: Workload, _profile: Profile) -> list[Unconfigured]:
    layer = workload.layer
    plain = layer.op == "resize" and layer.mode in ("nearest", "bilinear") and layer.scale == (0.0, 0.0)
    if plain and layer.mode == "nearest" and not reads_whole_fractions(layer):
        return []  # rounding as torch does is in the tables of `resampling`
    return [Unconfigured()] if plain else []


def make(workload: Workload, _weights: Weights, profile: Profile, _config: Unconfigured) -> Kernel:
    layer, source = workload.layer, workload.inputs[0]
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    doubling = workload.output.width == 2 * source.width and not (layer.mode == "bilinear" and layer.align_corners)
    rows = RowTiles(workload.output, vector, 2 if doubling else 1)
    with kernel(workload.arguments(), (workload.output.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        sums = registers(rows.width, vector.type, "sums")
        if doubling:
            double = _double_nearest if layer.mode == "nearest" else _double_bilinear
            even, odd = double(frame["in0"], workload, vector, channel, row, across * vector.lanes)
            for v, value in enumerate(vector.interleave(even, odd)):
                put(sums, v, value)
        else:
            sample = _nearest if layer.mode == "nearest" else _bilinear
            columns = [rows.column(across, 0) + lane for lane in range(vector.lanes)]
            put(sums, 0, vector.gather([sample(frame["in0"], workload, channel, row, column) for column in columns]))
        finish(frame, workload, vector, rows, [(channel, True)], sums, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return Kernel(frame.func)


def _double_nearest(buffer, workload: Workload, vector: Vector, channel, row, column) -> tuple:
    """The even and the odd output columns made of the input's vector at `column`."""
    source, target = workload.inputs[0], workload.output
    value = registers(1, vector.type, "value")
    put(
        value,
        0,
        vector.load(buffer, source.index(channel, _nearest_position(row, source.height, target.height), column)),
    )
    return value[0], value[0]


def _double_bilinear(buffer, workload: Workload, vector: Vector, channel, row, column) -> tuple:
    """As `_double_nearest`: a quarter of the neighbour's value, three quarters of the own; edges repeat themselves."""
    source, target = workload.inputs[0], workload.output
    y0, y1, down = _between(row, source.height, target.height, False, workload.dtype)
    values = registers(3, vector.type, "values")
    for number, offset in enumerate((-1, 0, 1)):
        top, bottom = (vector.load(buffer, source.index(channel, y, column + offset)) for y in (y0, y1))
        put(values, number, top + (bottom - top) * vector.splat(down))
    left, own, right = (values[number] for number in range(3))
    put(values, 0, vector.choose(vector.integers(column - 1), own, left))
    put(values, 2, vector.choose(vector.integers(column + 1 - source.width), right, own))
    quarter = vector.splat(0.25)
    return own + (left - own) * quarter, own + (right - own) * quarter


def _nearest_position(position, extent: int, new_extent: int):
    """floor(position x extent / new extent)."""
    return T.min(position * extent // new_extent, extent - 1)


def _nearest(buffer, workload: Workload, channel, row, column):
    source, target = workload.inputs[0], workload.output
    y = _nearest_position(row, source.height, target.height)
    return buffer[source.index(channel, y, _nearest_position(column, source.width, target.width))]


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
    return low, T.min(low + 1, extent - 1), T.Cast(dtype, rest) * T.FloatImm(dtype, 1.0 / denominator)


RESIZE = Rule("resize", Unconfigured, space, make)
