"""A transposed convolution in one grid: a work-item makes and interleaves all phases of a tile of one row."""

from __future__ import annotations

from collections.abc import Callable

from codegen.kernels.builder import function, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.order import TileOrder
from codegen.schedules.transposed.lists import PhaseLists
from codegen.schedules.transposed.walk import ListWalk, weave
from devices.profile import Profile


def make_fused(workload: Workload, weights: Weights, profile: Profile, filters: int, vectors: int, band: int) -> Kernel:
    """The kernel with tiles of `filters` x `vectors` accumulators for each column phase; `band` as in TileOrder."""
    layer, source = workload.layer, workload.inputs[0]
    assert weights.weight is not None
    lists = PhaseLists.of(layer, weights.weight, filters, source_offsets(workload))
    constants = lists.constants(weights, source.item_bytes if profile.streams else 1)
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    down, across = layer.stride
    rows = RowTiles(workload.output, vector, vectors * across)
    order = TileOrder(lists.blocks.count, rows, band)
    with function(workload.arguments(**sizes_of(constants)), profile) as frame, frame.grid(order.extents):
        walk = ListWalk(frame, lists, vector, vectors, "in0")
        sums = [registers(filters * vectors, vector.type, f"sums{phase}") for phase in range(across)]
        woven = registers(rows.width, vector.type, "woven")
        block = order.block(frame.axes)
        owned = lists.blocks.owned(block)
        with order.tile(frame.axes) as (row, tile):
            base = row // down * source.pitch + tile * (vectors * vector.lanes)

            for phase in range(across):
                walk.start(sums[phase], block)
            walk.add(sums, block, [row % down * across + phase for phase in range(across)], base)
            for f, own in enumerate(owned):
                for v in range(vectors):
                    values = [sums[phase][f * vectors + v] for phase in range(across)]
                    for number, value in enumerate(weave(vector, values)):
                        put(woven, v * across + number, value)
                finish(frame, workload, vector, rows, [own], woven, row, tile, started=False)
            rows.zero_borders(frame["out"], owned, row, tile)
    return Kernel(frame.func, constants, frame.grids)


def source_offsets(workload: Workload) -> Callable:
    """Offsets of (channel, rows' shift, columns' shift) in the input's plane, for output phase row and column 0."""
    return lambda channel, y, x: workload.inputs[0].index(channel, y, x)


def sizes_of(constants) -> dict:
    """Constants as `Workload.arguments` takes them."""
    return {name: array.size if array.dtype.kind == "f" else (array.size, "int32") for name, array in constants.items()}
