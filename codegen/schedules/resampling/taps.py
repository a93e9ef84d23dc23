"""Resizing in any mode by tables: which input positions each output position reads, and their weights.

First every output row is made of whole vectors of the input's rows, in scratch of the function's own; then the elements
of a row are gathered. Where each output row is one of the input's, the first grid is left out.
"""

from __future__ import annotations

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, function, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.rule import Rule, Unconfigured
from devices.profile import Profile
from models.graph.resizing import resize_taps


def space(workload: Workload, _profile: Profile) -> list[Unconfigured]:
    return [Unconfigured()] if workload.layer.op == "resize" else []


def make(workload: Workload, _weights: Weights, profile: Profile, _config: Unconfigured) -> Kernel:
    source, output = workload.inputs[0], workload.output
    vector = Vector.on(profile, output.lanes, workload.dtype)
    constants = _tables(workload)
    sizes = {
        name: array.size if array.dtype.kind == "f" else (array.size, "int32") for name, array in constants.items()
    }
    mixes_rows = "row_weight" in constants
    with function(workload.arguments(**sizes), profile) as frame:
        if mixes_rows:
            frame.scratch("rows", output.height * source.channels * source.vectors * source.lanes, workload.dtype)
            _mix_rows(frame, workload, vector, constants)
        _mix_columns(frame, workload, vector, constants)
    return Kernel(frame.func, constants, frame.grids)


def _tables(workload: Workload) -> dict[str, np.ndarray]:
    """Positions and weights; those of rows [row][tap], those of columns [tap][column], filled up to whole vectors."""
    (rows, row_weights), (columns, weights) = (resize_taps(workload.layer, axis) for axis in (0, 1))
    surplus = ((0, 0), (0, workload.output.vectors * workload.output.lanes - len(columns)))
    tables = {
        "row": rows.astype(np.int32).ravel(),
        "column": np.pad(columns.T, surplus).astype(np.int32).ravel(),
        "column_weight": np.pad(weights.T, surplus).astype(np.float32).ravel(),
    }
    if rows.shape[1] > 1:
        tables["row_weight"] = row_weights.astype(np.float32).ravel()
    return tables


def _mix_rows(frame, workload: Workload, vector: Vector, constants: dict[str, np.ndarray]) -> None:
    """The first grid: one vector of the input's columns in an output row per work-item."""
    source, output = workload.inputs[0], workload.output
    taps = constants["row"].size // output.height
    with frame.grid((source.channels, output.height, source.vectors)) as (channel, row, across):
        mixed = registers(1, vector.type, "mixed")
        put(mixed, 0, vector.splat(0))
        with T.serial(0, taps) as tap:
            loaded = vector.load(
                frame["in0"], source.index(channel, frame["row"][row * taps + tap], across * vector.lanes)
            )
            put(mixed, 0, mixed[0] + loaded * vector.splat(frame["row_weight"][row * taps + tap]))
        target = ((channel * output.height + row) * source.vectors + across) * vector.lanes
        emit(vector.store(mixed[0], frame["rows"], target))


def _mix_columns(frame, workload: Workload, vector: Vector, constants: dict[str, np.ndarray]) -> None:
    """The last grid: one vector of the output per work-item."""
    source, output = workload.inputs[0], workload.output
    rows = RowTiles(output, vector, 1)
    filled = output.vectors * output.lanes
    with frame.grid((output.channels, rows.down, rows.across)) as (channel, row, across):
        sums = registers(1, vector.type, "sums")
        first = rows.column(across, 0)

        def element(place):
            if "row_weight" in constants:
                return frame["rows"][(channel * output.height + row) * (source.vectors * source.lanes) + place]
            return frame["in0"][source.index(channel, frame["row"][row], place)]

        put(sums, 0, vector.splat(0))
        for tap in range(constants["column"].size // filled):
            at = tap * filled + first
            gathered = vector.gather([element(frame["column"][at + lane]) for lane in range(vector.lanes)])
            put(sums, 0, sums[0] + gathered * vector.load(frame["column_weight"], at))
        finish(frame, workload, vector, rows, [(channel, True)], sums, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)


TAPS = Rule("taps", Unconfigured, space, make)
