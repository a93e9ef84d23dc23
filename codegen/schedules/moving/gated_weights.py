"""Weights of a 1x1 convolution times the gate of its input's channels, for products that `codegen.layout.gates` folds.

The kernel writes the packed weights once more, each row of them times its input channel's number. Rows are independent
and short (one weight for each filter of a block), so a work-item makes one on a GPU and some on a CPU.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, kernel, put, registers, when
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.vectors import Vector, pieces
from codegen.kernels.workload import Kernel, Workload
from codegen.layout.plane import Plane
from codegen.schedules.rule import Unconfigured
from devices.profile import Profile
from models.graph.layer import Layer, Step

#: what manifests call the schedule
NAME = "gated_weights"
#: work-items that a CPU's cores share evenly
LEAST_ITEMS = 64


def make_gated_weights(reader: Kernel, gate: Plane, profile: Profile, dtype: str) -> Kernel:
    """The kernel from a gate, in its plane, and the packed weights of `reader` to weights multiplied by it.

    Args:
        reader: a kernel whose `channels` are known.
        gate: (C, 1, 1).

    Arguments of the function: in0 (the gate), weight, place (of each row's number in the gate's plane), out.
    """
    assert reader.channels is not None
    places = np.asarray(gate.index(reader.channels.astype(np.int64), 0, 0)).astype(np.int32)
    size, rows = reader.constants["weight"].size, max(places.size, 1)
    places = places if places.size else np.zeros(1, np.int32)
    per_item = max(rows // LEAST_ITEMS, 1) if profile.gpu == "cpu" else 1
    arguments = {"in0": (gate.size, dtype), "weight": (size, dtype), "place": (rows, "int32"), "out": (size, dtype)}
    with kernel(arguments, (-(-rows // per_item),), profile) as frame:
        factor = registers(1, dtype, "factor")
        with T.serial(0, per_item) as number:
            row = frame.axes[0] * per_item + number
            with when(row < rows if rows % per_item else True):
                put(factor, 0, frame["in0"][frame["place"][row]])
                _multiply(frame, row * (size // rows), size // rows, factor[0], profile, dtype)
    return Kernel(frame.func, {"place": places}, choice=ScheduleChoice(NAME, Unconfigured()))


def _multiply(frame, first, count: int, factor, profile: Profile, dtype: str) -> None:
    """out[first : first + count] = weight[the same] x factor, in the widest vectors that fit."""
    for start, lanes in pieces(count, profile.lanes_of(dtype)):
        at = first + start
        if lanes == 1:
            put(frame["out"], at, frame["weight"][at] * factor)
        else:
            vector = Vector.on(profile, lanes, dtype)
            emit(vector.store(vector.load(frame["weight"], at) * vector.splat(factor), frame["out"], at))


def stand_in(product: Layer, reader: Layer, gate: Plane, dtype: str) -> Workload:
    """A workload of the size of `make_gated_weights`, which the latency model knows and a layer alone can be timed as:
    a product of the dense weights, laid as a map (C, 1, F), with the gate."""
    channels, filters = product.out_shape[0], reader.out_shape[0]
    shape = (channels, 1, filters)
    layer = replace(
        product.blank, inputs=("", ""), in_shapes=(shape, gate.shape), out_shape=shape, epilogue=(Step("mul"),)
    )
    weights = Plane(*shape, lanes=gate.lanes, item_bytes=gate.item_bytes)
    return Workload(layer, (weights, gate), weights, dtype)
