"""A transposed convolution in three grids, for narrow maps and long strides.

The input is copied into rows that lie close together, whose zeros between two rows serve both; a vector of 16 then
reaches over several rows of a map 6 wide, instead of wasting 10 lanes on it. On these flat positions every phase is
computed for itself; the last grid interleaves the phases, runs the epilogue and writes the output's plane.
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
from models.graph.transposed import beyond_input

#: strides up to this interleave whole vectors; longer ones read element by element
MOST_WOVEN = 4


@dataclass(frozen=True)
class FlatMap:
    """The input's rows close together, and the phases' results at the same positions.

    Input (y, x) of a channel is element lead + (y + above) x pitch + x of it. Position i x pitch + j of a phase is the
    output's row stride x i + phase, and column alike.
    """

    layer: Layer
    lanes: int
    item_bytes: int

    @property
    def above(self) -> int:
        return beyond_input(self.layer, 0)[0]

    @property
    def lead(self) -> int:
        return beyond_input(self.layer, 1)[0]

    @property
    def pitch(self) -> int:
        """Elements from row to row: the row with zeros that serve its end and the next one's beginning, or all columns
        of a phase."""
        return max(self.layer.in_shapes[0][2] + max(beyond_input(self.layer, 1)), self.columns)

    @property
    def rows(self) -> int:
        return self.layer.in_shapes[0][1] + sum(beyond_input(self.layer, 0))

    @property
    def columns(self) -> int:
        """Columns of a phase."""
        return -(-self.layer.out_shape[2] // self.layer.stride[1])

    @property
    def vectors(self) -> int:
        """Vectors of a phase's positions."""
        return -(-(-(-self.layer.out_shape[1] // self.layer.stride[0]) * self.pitch) // self.lanes)

    def source_stride(self, overrun: int) -> int:
        """Elements of a channel, with what vectors may read or write beyond its end."""
        return self._padded(self.lead + (self.rows + 1) * self.pitch + (overrun + 2) * self.lanes)

    def phase_stride(self, vectors: int) -> int:
        """Elements of one filter's results of a phase, in tiles of `vectors`."""
        return self._padded(round_up(self.vectors, vectors) * self.lanes + self.lanes)

    def _padded(self, elements: int) -> int:
        stride = round_up(elements, self.lanes)
        return stride + self.lanes if stride * self.item_bytes % BAD_PITCH_BYTES == 0 else stride


def make_flat(workload: Workload, weights: Weights, profile: Profile, filters: int, vectors: int) -> Kernel:
    """The kernels with tiles of `filters` x `vectors` accumulators."""
    layer, output = workload.layer, workload.output
    assert weights.weight is not None
    flat = FlatMap(layer, output.lanes, output.item_bytes)
    stride, phase_stride = flat.source_stride(vectors), flat.phase_stride(vectors)

    def offsets(channel: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return channel * stride + flat.lead + (y + flat.above) * flat.pitch + x

    lists = PhaseLists.of(layer, weights.weight, filters, offsets)
    constants = lists.constants(weights)
    vector = Vector.on(profile, output.lanes, workload.dtype)
    turns = layer.stride[0] * layer.stride[1]
    with function(workload.arguments(**sizes_of(constants)), profile) as frame:
        frame.scratch("source", layer.in_shapes[0][0] * stride, workload.dtype)
        frame.scratch("results", turns * layer.out_shape[0] * phase_stride, workload.dtype)
        _copy_source(frame, workload, vector, flat, stride)
        _multiply(frame, workload, vector, lists, flat, vectors, phase_stride)
        _interleave(frame, workload, vector, flat, phase_stride)
    return Kernel(frame.func, constants, frame.grids)


def _copy_source(frame, workload: Workload, vector: Vector, flat: FlatMap, stride: int) -> None:
    """The first grid: a channel per work-item, its rows one after the other, since a row's last vector reaches into the
    next row, which overwrites it."""
    source, lanes = workload.inputs[0], vector.lanes
    with frame.grid((source.channels,)) as (channel,):
        start = channel * stride
        for first in range(0, flat.lead + flat.above * flat.pitch, lanes):
            emit(vector.store(vector.splat(0), frame["source"], start + first))
        with T.serial(0, source.height) as row:
            for first in range(0, flat.pitch, lanes):
                target = start + flat.lead + (row + flat.above) * flat.pitch + first
                if first >= source.width:
                    value = vector.splat(0)
                else:
                    value = vector.load(frame["in0"], source.index(channel, row, first))
                    if first + lanes > source.width:
                        value = vector.keep_below(value, first, source.width)
                emit(vector.store(value, frame["source"], target))
        end = flat.lead + (source.height + flat.above) * flat.pitch
        for first in range(0, (flat.rows - source.height - flat.above) * flat.pitch + lanes, lanes):
            emit(vector.store(vector.splat(0), frame["source"], start + end + first))


def _multiply(
    frame, workload: Workload, vector: Vector, lists: PhaseLists, flat: FlatMap, vectors: int, phase_stride: int
) -> None:
    """The second grid: a filter block's tile of one phase per work-item."""
    layer = workload.layer
    turns, tiles = layer.stride[0] * layer.stride[1], -(-flat.vectors // vectors)
    filters = lists.blocks.filters
    with frame.grid((lists.blocks.count, turns, tiles)) as (block, phase, tile):
        walk = ListWalk(frame, lists, vector, vectors)
        sums = registers(filters * vectors, vector.type, "sums")
        base = tile * (vectors * vector.lanes)
        walk.start(sums, block)
        walk.add(sums, block, phase, turns, lambda at, v: vector.load(frame["source"], at + base + v * vector.lanes))
        for f, (channel, exists) in enumerate(lists.blocks.owned(block)):
            with when(exists):
                for v in range(vectors):
                    target = (phase * layer.out_shape[0] + channel) * phase_stride + base + v * vector.lanes
                    emit(vector.store(sums[f * vectors + v], frame["results"], target))


def _interleave(frame, workload: Workload, vector: Vector, flat: FlatMap, phase_stride: int) -> None:
    """The third grid: output rows of one filter per work-item."""
    layer, output = workload.layer, workload.output
    (down, across), woven = layer.stride, layer.stride[1] <= MOST_WOVEN
    rows = RowTiles(output, vector, across if woven else 1)
    with frame.grid((output.channels, output.height, rows.across)) as (channel, row, tile):
        sums = registers(rows.width, vector.type, "sums")

        def index(phase, column):
            place = (row % down * across + phase) * output.channels + channel
            return place * phase_stride + row // down * flat.pitch + column

        if woven:
            parts = registers(across, vector.type, "parts")
            for phase in range(across):
                put(parts, phase, vector.load(frame["results"], index(phase, tile * vector.lanes)))
            for number, value in enumerate(weave(vector, [parts[phase] for phase in range(across)])):
                put(sums, number, value)
        else:
            columns = [T.min(rows.column(tile, 0) + lane, output.width - 1) for lane in range(vector.lanes)]
            elements = [frame["results"][index(column % across, column // across)] for column in columns]
            put(sums, 0, vector.gather(elements))
        finish(frame, workload, vector, rows, [(channel, True)], sums, row, tile, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], row, tile)
