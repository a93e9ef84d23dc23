"""Layers that only move data: elementwise (an epilogue alone), concat, and the network's input and output."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.kernels.builder import Arguments, emit, kernel, put, registers, when
from codegen.kernels.epilogue import finish, load_broadcast
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import Plane
from codegen.schedules.rule import Rule, Unconfigured
from devices.profile import Profile

#: vectors and rows of a work-item on a CPU, at most, where starting one takes as long as moving a few vectors: of a
#: kernel that writes them out, and of one that loops over the rows
CPU_TILE, LOOPED_TILE = (4, 4), (8, 32)
#: work-items that a CPU's cores share evenly
LEAST_ITEMS = 64


def _tiles(plane: Plane, vector: Vector, profile: Profile) -> RowTiles:
    """Tiles for kernels that only move: a few rows on a CPU, single vectors on a GPU, whose work-items are free."""
    if profile.gpu != "cpu":
        return tile_rows(plane, vector, (1, 1))
    vectors, height = LOOPED_TILE
    rows = plane.channels * plane.height * plane.vectors // vectors // LEAST_ITEMS
    return tile_rows(plane, vector, (vectors, min(height, max(rows, 1))))


def tile_rows(plane: Plane, vector: Vector, most: tuple[int, int]) -> RowTiles:
    """The largest tiles of at most so many vectors x rows that divide a plane."""
    width, height = most
    width = max(v for v in range(1, width + 1) if plane.vectors % v == 0)
    return RowTiles(plane, vector, width, max(r for r in range(1, height + 1) if plane.height % r == 0))


def make_elementwise(workload: Workload, _weights: Weights, profile: Profile, _config: Unconfigured) -> Kernel:
    """Activations, sums and products that could not be fused into the layer before them."""
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = _tiles(workload.output, vector, profile)
    with kernel(workload.arguments(), (workload.output.channels, rows.down, rows.across), profile) as frame:
        channel, block, across = frame.axes
        sums = registers(rows.width, vector.type, "sums")
        with T.serial(0, rows.height) as number:
            row = block * rows.height + number
            for v in range(rows.width):
                place = (channel, row, rows.column(across, v))
                put(sums, v, load_broadcast(frame["in0"], workload.inputs[0], workload.output.shape, vector, *place))
            finish(frame, workload, vector, rows, [(channel, True)], sums, row, across, started=False)
        rows.zero_borders(frame["out"], [(channel, True)], block, across)
    return Kernel(frame.func)


def make_concat(workload: Workload, _weights: Weights, profile: Profile, _config: Unconfigured) -> Kernel:
    """Channel-wise joins. Inputs lie in planes like the output's, so whole planes are copied, borders too."""
    target = workload.output
    vector = Vector.on(profile, target.lanes, workload.dtype)
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


def import_kernel(plane: Plane, profile: Profile, dtype: str = "float32") -> Kernel:
    """From the user's dense float32 (1, C, H, W) tensor into planes of `dtype` with zero borders."""
    dense, vector = Vector.on(profile, plane.lanes), Vector.on(profile, plane.lanes, dtype)
    rows = RowTiles(plane, vector, 1)
    arguments: Arguments = {"in0": ((1, *plane.shape), "float32"), "out": (plane.size, dtype)}
    with kernel(arguments, (plane.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        value = registers(1, vector.type, "value")
        first = rows.column(across, 0)
        with when(_whole(plane, first)):
            loaded = T.call_pure_extern(
                dense.type, f"vload{plane.lanes}", 0, T.address_of(frame["in0"][0, channel, row, first])
            )
            put(value, 0, vector.convert(loaded, "float32"))
        if plane.width % plane.lanes:
            with when(first + plane.lanes > plane.width):
                columns = [T.min(first + lane, plane.width - 1) for lane in range(plane.lanes)]
                elements = [T.Cast(dtype, frame["in0"][0, channel, row, column]) for column in columns]
                put(value, 0, vector.gather(elements))
        rows.store(value, 0, frame["out"], channel, row, across)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return Kernel(frame.func)


def export_kernel(plane: Plane, profile: Profile, dtype: str = "float32") -> Kernel:
    """From planes of `dtype` back to the dense float32 (1, C, H, W) tensor."""
    arguments: Arguments = {"in0": (plane.size, dtype), "out": ((1, *plane.shape), "float32")}
    dense, vector = Vector.on(profile, plane.lanes), Vector.on(profile, plane.lanes, dtype)
    with kernel(arguments, (plane.channels, plane.height, plane.vectors), profile) as frame:
        channel, row, across = frame.axes
        first = across * plane.lanes
        with when(_whole(plane, first)):
            value = dense.convert(vector.load(frame["in0"], plane.index(channel, row, first)), dtype)
            target = T.address_of(frame["out"][0, channel, row, first])
            emit(T.call_extern("int32", f"vstore{plane.lanes}", value, 0, target))
        for lane in range(plane.lanes if plane.width % plane.lanes else 0):
            with when(T.And(first + plane.lanes > plane.width, first + lane < plane.width)):
                element = frame["in0"][plane.index(channel, row, first + lane)]
                put(frame["out"], (0, channel, row, first + lane), T.Cast("float32", element))
    return Kernel(frame.func)


def _whole(plane: Plane, first):
    """Whether all lanes of the vector at column `first` lie in the image; True where they always do."""
    return True if plane.width % plane.lanes == 0 else first + plane.lanes <= plane.width


def _space(*operations: str, epilogue: bool = True):
    """The space of a rule that answers `operations`, with nothing to choose; `epilogue`: those with an epilogue too."""

    def space(workload: Workload, _profile: Profile) -> list[Unconfigured]:
        layer = workload.layer
        return [Unconfigured()] if layer.op in operations and (epilogue or not layer.epilogue) else []

    return space


ELEMENTWISE = Rule("elementwise", Unconfigured, _space("elementwise"), make_elementwise)
CONCAT = Rule("concat", Unconfigured, _space("concat", epilogue=False), make_concat)
