"""The borders of a fallback: from planes to the dense tensor that TVM's own kernels read, and back.

Each is a grid of its own, so that it is an OpenCL kernel with a time of its own. The way back writes the zero borders.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm.tirx.script import builder as T

from codegen.kernels.builder import Arguments, emit, kernel, put, registers, when
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.layout.plane import Plane
from devices.profile import Profile

#: the type of elements between the borders, whatever the network's is
DENSE = "float32"


def unpack_function(plane: Plane, dense_shape: Sequence, profile: Profile, dtype: str):
    """The function (in0: planes, out: dense) that takes a tensor out of its planes.

    dense_shape: as `pack_function` has it.
    """
    sizes = [int(size) for size in dense_shape]
    dense, vector = Vector.on(profile, plane.lanes), Vector.on(profile, plane.lanes, dtype)
    arguments: Arguments = {"in0": (plane.size, dtype), "out": (dense_shape, DENSE)}
    with kernel(arguments, (plane.channels, plane.height, plane.vectors), profile) as frame:
        channel, row, across = frame.axes
        first = across * plane.lanes
        with when(_whole(plane, first)):
            value = dense.convert(vector.load(frame["in0"], plane.index(channel, row, first)), dtype)
            target = T.address_of(_element(frame["out"], sizes, channel, row, first))
            emit(T.call_extern("int32", f"vstore{plane.lanes}", value, 0, target))
        for lane in range(plane.lanes if plane.width % plane.lanes else 0):
            with when(T.And(first + plane.lanes > plane.width, first + lane < plane.width)):
                element = frame["in0"][plane.index(channel, row, first + lane)]
                put(frame["out"], dense_index(sizes, channel, row, first + lane), T.Cast(DENSE, element))
    return frame.func


def pack_function(plane: Plane, dense_shape: Sequence, profile: Profile, dtype: str):
    """The function (in0: dense, out: planes) that brings a tensor into its planes, zero borders included.

    dense_shape: the tensor's sizes, in the integers that TVM's own function has them in.
    """
    sizes = [int(size) for size in dense_shape]
    dense, vector = Vector.on(profile, plane.lanes), Vector.on(profile, plane.lanes, dtype)
    rows = RowTiles(plane, vector, 1)
    arguments: Arguments = {"in0": (dense_shape, DENSE), "out": (plane.size, dtype)}
    with kernel(arguments, (plane.channels, rows.down, rows.across), profile) as frame:
        channel, row, across = frame.axes
        value = registers(1, vector.type, "value")
        first = rows.column(across, 0)
        with when(_whole(plane, first)):
            source = T.address_of(_element(frame["in0"], sizes, channel, row, first))
            loaded = T.call_pure_extern(dense.type, f"vload{plane.lanes}", 0, source)
            put(value, 0, vector.convert(loaded, DENSE))
        if plane.width % plane.lanes:
            with when(first + plane.lanes > plane.width):
                columns = [T.min(first + lane, plane.width - 1) for lane in range(plane.lanes)]
                elements = [_element(frame["in0"], sizes, channel, row, column) for column in columns]
                put(value, 0, vector.gather([T.Cast(dtype, element) for element in elements]))
        rows.store(value, 0, frame["out"], channel, row, across)
        rows.zero_borders(frame["out"], [(channel, True)], row, across)
    return frame.func


def dense_index(sizes: Sequence[int], channel, row, column) -> tuple:
    """Where the element at a place of the planes is in the tensor, as models.graph.foreign.call.plane_shape has it."""
    leading, last = (sizes[:-2], (row, column)) if len(sizes) > 2 else (sizes, ())
    places: list = []
    for size in reversed(leading):
        inner = channel if len(places) == len(leading) - 1 else channel % size
        places.insert(0, 0 if size == 1 else inner)
        channel = channel if size == 1 else channel // size
    return (*places, *last)


def _element(buffer, sizes: Sequence[int], channel, row, column):
    return buffer[dense_index(sizes, channel, row, column)]


def _whole(plane: Plane, first):
    """Whether all lanes of the vector at column `first` lie in the image; True where they always do."""
    return True if plane.width % plane.lanes == 0 else first + plane.lanes <= plane.width
