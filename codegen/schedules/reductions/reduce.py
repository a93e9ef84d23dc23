"""The rule of reductions: "normalise", "softmax" and "reduce" over any axes of a map.

Whole cells (see `cells`) are one kernel: a work-item finds both numbers of `statistics` and writes its elements, which
the caches still have. Cells in parts are three: the numbers of every part, those of every cell, and the elements; of
"reduce" the second one writes the result.
"""

from __future__ import annotations

from dataclasses import replace

from tvm.tirx.script import builder as T

from codegen.kernels.builder import function, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import Plane
from codegen.schedules.reductions.cells import Cells, Place, ReductionTile, drop_ones, put_back_ones, tiles_of
from codegen.schedules.reductions.gathering import Gatherer
from codegen.schedules.reductions.statistics import Statistics
from codegen.schedules.rule import Rule
from devices.profile import Profile

#: the type in which statistics are computed
SUM = "float32"


def space(workload: Workload, profile: Profile) -> list[ReductionTile]:
    reduction = workload.layer.reduction
    return tiles_of(workload.inputs[0], reduction, profile.gpu == "cpu") if reduction is not None else []


def make(workload: Workload, weights: Weights, profile: Profile, tile: ReductionTile) -> Kernel:
    reduction = workload.layer.reduction
    assert reduction is not None
    constants = {}
    if reduction.affine:
        assert weights.weight is not None
        assert weights.bias is not None
        affine = _affine_plane(workload)
        constants = {"weight": affine.pack(weights.weight), "bias": affine.pack(weights.bias)}
    sizes = {name: array.size for name, array in constants.items()}
    with function(workload.arguments(**sizes), profile) as frame:
        writer = _ReductionWriter(frame, workload, profile, tile)
        if writer.cells.parts == 1:
            writer.write_whole()
        else:
            writer.write_parts()
    return Kernel(frame.func, constants, frame.grids)


def _affine_plane(workload: Workload) -> Plane:
    """How weight and bias lie: planes of vectors where they vary along rows, else one number after the other."""
    reduction = workload.layer.reduction
    assert reduction is not None
    shape = reduction.affine_shape(workload.output.shape)
    return Plane(*shape, lanes=workload.output.lanes if "W" in reduction.affine else 1)


class _ReductionWriter:
    """Writes the grids of one reduction."""

    def __init__(self, frame, workload: Workload, profile: Profile, tile: ReductionTile) -> None:
        layer, source = workload.layer, workload.inputs[0]
        assert layer.reduction is not None
        self.frame, self.workload, self.reduction = frame, workload, layer.reduction
        self.affine = _affine_plane(workload)
        self.vector = Vector.on(profile, workload.output.lanes, workload.dtype)
        self.sums = Vector.on(profile, workload.output.lanes, SUM)
        self.cells = Cells(source, layer.reduction, tile)
        self.statistics = Statistics(layer.reduction, self.sums, layer.reduction.count(source.shape))
        self.gatherer = Gatherer(frame, self.cells, self.statistics, self.vector)
        self.width = tile.vectors
        self.rows = RowTiles(workload.output, self.vector, self.width)

    def write_whole(self) -> None:
        extents = self.cells.extents
        with self.frame.grid(drop_ones(extents)) as axes:
            place = Place(*put_back_ones(axes, extents))
            self._finish_cell(place, *self.gatherer.combine(place))

    def write_parts(self) -> None:
        whole = replace(self.cells, tile=ReductionTile(self.width, self.cells.depth, self.cells.height))
        places = [("part", self.cells)] + [("cell", whole)] * (self.workload.layer.op != "reduce")
        for name, cells in places:
            if self.statistics.first:
                self.frame.scratch(f"{name}_first", cells.scratch, SUM)
            if self.statistics.has_second:
                self.frame.scratch(f"{name}_second", cells.scratch, SUM)
        self._write_part_numbers()
        self._write_cell_numbers(whole)
        if self.workload.layer.op != "reduce":
            self._write_elements(whole)

    def _write_part_numbers(self) -> None:
        channels, rows, across = self.cells.extents
        extents = (self.cells.parts * channels, rows, across)
        with self.frame.grid(drop_ones(extents)) as axes:
            first_axis, row, tile = put_back_ones(axes, extents)
            part, channel = first_axis // channels, first_axis % channels
            place = Place(channel, row, tile, part // self.cells.line_parts, part % self.cells.line_parts)
            self.gatherer.keep("part", self.cells, place, *self.gatherer.combine(place))

    def _write_cell_numbers(self, whole: Cells) -> None:
        extents = self.cells.extents
        with self.frame.grid(drop_ones(extents)) as axes:
            place = Place(*put_back_ones(axes, extents))
            first, second = self.gatherer.join(place)
            if self.workload.layer.op == "reduce":
                self._finish_cell(place, first, second)
                return
            self._prepare(first, second)
            self.gatherer.keep("cell", whole, place, first, second)

    def _write_elements(self, whole: Cells) -> None:
        """A work-item for every tile of every row: what is left is an elementwise kernel."""
        source = self.cells.source
        extents = (source.channels, source.height, -(-source.vectors // self.width))
        with self.frame.grid(drop_ones(extents)) as axes:
            channel, row, across = put_back_ones(axes, extents)
            place = Place(channel // whole.depth, row // whole.height, 0 if whole.along_rows else across)
            self._write_row(channel, row, across, *self.gatherer.recall("cell", whole, place))

    def _prepare(self, first, second) -> None:
        for v in range(self.width):
            put(second, v, self.statistics.prepared(first[v], second[v]))

    def _finish_cell(self, place: Place, first, second) -> None:
        """Write all elements of a cell, or its statistic."""
        if self.workload.layer.op == "reduce":
            results = registers(self.width, self.vector.type, "results")
            for v in range(self.width):
                put(results, v, self.vector.convert(self.statistics.result(first[v], second[v]), SUM))
            self._store(place.channel, place.row, place.across, results)
            return
        self._prepare(first, second)

        def body(channel, row, across, v, _column) -> None:
            if v == 0:  # all vectors of a tile at once
                self._write_row(channel, row, across, first, second)

        self.cells.visit(place, body)

    def _write_row(self, channel, row, across, first, second) -> None:
        results = registers(self.width, self.vector.type, "results")
        loaded = registers(1, self.sums.type, "element")
        for v in range(self.width):
            put(loaded, 0, self.gatherer.load(channel, row, across, v))
            value = self.statistics.apply(loaded[0], first[v], second[v])
            if self.reduction.affine:
                column = self.gatherer.column(across, v)
                weight, bias = (self._parameter(name, channel, row, column) for name in ("weight", "bias"))
                value = value * weight + bias
            put(results, v, self.vector.convert(value, SUM))
        self._store(channel, row, across, results)

    def _parameter(self, name: str, channel, row, column):
        """The weight or bias of a vector of elements."""
        affine = self.reduction.affine
        index = self.affine.index(channel if "C" in affine else 0, row if "H" in affine else 0, 0)
        if "W" not in affine:
            return self.sums.splat(T.Cast(SUM, self.frame[name][index]))
        return self.sums.convert(self.vector.load(self.frame[name], index + column), self.vector.dtype)

    def _store(self, channel, row, across, results) -> None:
        finish(self.frame, self.workload, self.vector, self.rows, [(channel, True)], results, row, across, False)
        self.rows.zero_borders(self.frame["out"], [(channel, True)], row, across)


REDUCE = Rule("reduce", ReductionTile, space, make)
