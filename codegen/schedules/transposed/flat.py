"""A transposed convolution in three grids, for narrow maps and long strides.

The input is copied into rows that lie close together, once for each shift along the row that a position of the kernel
reads at, with zeros where a shift leaves the row: a vector then reaches over several rows of a map 6 wide, and every
element of it is of use. On these flat positions every phase is computed for itself; the last grid interleaves the
phases, runs the epilogue and writes the output's plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, function, put, registers, when
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import BAD_PITCH_BYTES, round_up
from codegen.schedules.transposed.fused import sizes_of
from codegen.schedules.transposed.lists import PhaseLists
from codegen.schedules.transposed.walk import ListWalk, weave
from devices.profile import Profile
from models.graph.layer import Layer
from models.graph.transposed import beyond_input, phase_taps

#: strides up to this interleave whole vectors; longer ones read element by element
MOST_WOVEN = 4
#: output rows of a work-item of the last grid
CPU_ROWS = 8


@dataclass(frozen=True)
class FlatMap:
    """The input's rows close together, and the phases' results at the same positions.

    Position i x columns + j of a phase is the output's row stride x i + phase, and column alike. Input row y of a
    channel begins at element (y + above) x columns of each of its copies; the copy of a shift has column j + shift
    at j.
    """

    layer: Layer
    lanes: int
    item_bytes: int

    @property
    def above(self) -> int:
        """Rows of zeros before the first one."""
        return beyond_input(self.layer, 0)[0]

    @property
    def rows(self) -> int:
        return self.layer.in_shapes[0][1] + sum(beyond_input(self.layer, 0))

    @property
    def columns(self) -> int:
        """Columns of a phase."""
        return -(-self.layer.out_shape[2] // self.layer.stride[1])

    @property
    def shifts(self) -> list[int]:
        """How far to the right of its own column each copy reads."""
        phases = range(self.layer.stride[1])
        return sorted({shift for phase in phases for _, shift in phase_taps(self.layer, 1, phase)})

    @property
    def vectors(self) -> int:
        """Vectors of a phase's positions."""
        return -(-(-(-self.layer.out_shape[1] // self.layer.stride[0]) * self.columns) // self.lanes)

    def source_stride(self, overrun: int) -> int:
        """Elements of a copy of a channel, with what vectors may read or write beyond its end."""
        return self._padded(self.rows * self.columns + (overrun + 2) * self.lanes)

    def phase_stride(self, vectors: int) -> int:
        """Elements of one filter's results of a phase, in tiles of `vectors`."""
        return self._padded(round_up(self.vectors, vectors) * self.lanes + self.lanes)

    def _padded(self, elements: int) -> int:
        stride = round_up(elements, self.lanes)
        return stride + self.lanes if stride * self.item_bytes % BAD_PITCH_BYTES == 0 else stride


def make_flat(workload: Workload, weights: Weights, profile: Profile, filters: int, vectors: int, band: int) -> Kernel:
    """The kernels with tiles of `filters` x `vectors` accumulators, and `band` tiles of positions that all filters read
    before the next ones (0: all of them)."""
    layer, output = workload.layer, workload.output
    assert weights.weight is not None
    flat = FlatMap(layer, output.lanes, output.item_bytes)
    stride, phase_stride = flat.source_stride(vectors), flat.phase_stride(vectors)

    def offsets(channel: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        copy = np.searchsorted(flat.shifts, x)
        return (copy * layer.in_shapes[0][0] + channel) * stride + (y + flat.above) * flat.columns

    lists = PhaseLists.of(layer, weights.weight, filters, offsets)
    constants = lists.constants(weights, output.item_bytes if profile.streams else 1)
    vector = Vector.on(profile, output.lanes, workload.dtype)
    turns = layer.stride[0] * layer.stride[1]
    with function(workload.arguments(**sizes_of(constants)), profile) as frame:
        frame.scratch("source", len(flat.shifts) * layer.in_shapes[0][0] * stride, workload.dtype)
        frame.scratch("results", turns * layer.out_shape[0] * phase_stride, workload.dtype)
        _copy_source(frame, workload, vector, flat, stride)
        _multiply(frame, workload, vector, lists, flat, vectors, phase_stride, band)
        _interleave(frame, workload, vector, flat, phase_stride)
    return Kernel(frame.func, constants, frame.grids)


def _copy_source(frame, workload: Workload, vector: Vector, flat: FlatMap, stride: int) -> None:
    """The first grid: a channel per work-item, its rows one after the other, since a row's last vector reaches into the
    next row, which overwrites it."""
    source, lanes = workload.inputs[0], vector.lanes
    below = flat.rows - source.height - flat.above
    with frame.grid((source.channels,)) as (channel,):
        for copy, shift in enumerate(flat.shifts):
            start = (copy * source.channels + channel) * stride
            for first in range(0, flat.above * flat.columns, lanes):
                emit(vector.store(vector.splat(0), frame["source"], start + first))
            with T.serial(0, source.height) as row:
                for first in range(0, flat.columns, lanes):
                    value = _shifted(frame, workload, vector, channel, row, first + shift)
                    emit(vector.store(value, frame["source"], start + (row + flat.above) * flat.columns + first))
            end = (source.height + flat.above) * flat.columns
            for first in range(0, below * flat.columns + lanes, lanes):
                emit(vector.store(vector.splat(0), frame["source"], start + end + first))


def _shifted(frame, workload: Workload, vector: Vector, channel, row, first: int):
    """The vector of a row that begins at column `first`, zero where there is no such column."""
    source, lanes = workload.inputs[0], vector.lanes
    if first >= source.width or first + lanes <= 0:
        return vector.splat(0)
    value = vector.load(frame["in0"], source.index(channel, row, first))
    if first + lanes > source.width:
        value = vector.keep_below(value, first, source.width)
    return vector.choose(vector.integers(first), vector.splat(0), value) if first < 0 else value


def _multiply(
    frame,
    workload: Workload,
    vector: Vector,
    lists: PhaseLists,
    flat: FlatMap,
    vectors: int,
    phase_stride: int,
    band: int,
) -> None:
    """The second grid: a filter block's tile of one phase per work-item."""
    layer = workload.layer
    turns, tiles = layer.stride[0] * layer.stride[1], -(-flat.vectors // vectors)
    filters, band = lists.blocks.filters, min(band, tiles) or tiles
    with frame.grid((-(-tiles // band) * turns, lists.blocks.count, band)) as (outer, block, within):
        phase, tile = outer % turns, outer // turns * band + within
        with when(tile < tiles if tiles % band else True):
            walk = ListWalk(frame, lists, vector, vectors, "source")
            sums = registers(filters * vectors, vector.type, "sums")
            base = tile * (vectors * vector.lanes)

            walk.start(sums, block)
            walk.add([sums], block, [phase], base)
            for f, (channel, exists) in enumerate(lists.blocks.owned(block)):
                with when(exists):
                    for v in range(vectors):
                        target = (phase * layer.out_shape[0] + channel) * phase_stride + base + v * vector.lanes
                        emit(vector.store(sums[f * vectors + v], frame["results"], target))


def _interleave(frame, workload: Workload, vector: Vector, flat: FlatMap, phase_stride: int) -> None:
    """The third grid: a few output rows of one filter per work-item on a CPU, where starting one takes its time."""
    layer, output = workload.layer, workload.output
    (down, across), woven = layer.stride, layer.stride[1] <= MOST_WOVEN
    height = max(
        rows for rows in range(1, (CPU_ROWS if frame.profile.gpu == "cpu" else 1) + 1) if output.height % rows == 0
    )
    rows = RowTiles(output, vector, across if woven else 1, height)
    with frame.grid((output.channels, rows.down, rows.across)) as (channel, block, tile):
        sums = registers(rows.width, vector.type, "sums")
        parts = registers(across, vector.type, "parts") if woven else None
        with T.serial(0, height) as number:
            row = block * height + number

            def index(phase, column, row=row):
                place = (row % down * across + phase) * output.channels + channel
                return place * phase_stride + row // down * flat.columns + column

            if parts is not None:
                for phase in range(across):
                    put(parts, phase, vector.load(frame["results"], index(phase, tile * vector.lanes)))
                for turn, value in enumerate(weave(vector, [parts[phase] for phase in range(across)])):
                    put(sums, turn, value)
            else:
                columns = [T.min(rows.column(tile, 0) + lane, output.width - 1) for lane in range(vector.lanes)]
                elements = [frame["results"][index(column % across, column // across)] for column in columns]
                put(sums, 0, vector.gather(elements))
            finish(frame, workload, vector, rows, [(channel, True)], sums, row, tile, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], block, tile)
