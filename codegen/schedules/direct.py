"""Direct convolution: any kernel, stride, padding, dilation and groups.

A work-item keeps `filters` x `vectors` accumulators: `filters` output channels of `vectors` neighbouring vectors of a
row. It walks the input channels and kernel positions; each position costs `vectors` loads and filters x vectors
multiply-adds, its weights being uniform over the work-item. Weights lie [group][filter block][channel][ky][kx][filter],
read strictly forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tvm.tirx.script import builder as T

from codegen.builder import kernel, put, registers
from codegen.epilogue import finish, initial_addend
from codegen.rows import RowTiles, load_window
from codegen.schedules.rule import Rule
from codegen.vectors import Vector
from codegen.workload import Kernel, Weights, Workload
from devices.profile import Profile
from models.layer import Layer

#: kernels with more positions than this loop over their rows: unrolled, they take the OpenCL compiler seconds
UNROLLED_POSITIONS = 25
#: wider tiles gain nothing more, and pad more
MOST_VECTORS = 4
#: tiles that pad the work by more than this are not worth timing
WORTH_PADDING = 1.2


@dataclass(frozen=True)
class Tile:
    """Output channels x vectors per work-item."""

    filters: int
    vectors: int

    def __str__(self) -> str:
        return f"F{self.filters}V{self.vectors}"


def space(workload: Workload, profile: Profile) -> list[Tile]:
    """The tile of least estimated work first, then the others that fill the registers well."""
    layer = workload.layer
    if layer.op != "conv":
        return []
    best = choose_tile(workload, profile)
    filters, vectors = layer.out_shape[0] // layer.groups, workload.output.vectors
    others = [
        Tile(f, v)
        for f in range(1, min(filters, profile.accumulators) + 1)
        for v in range(1, min(vectors, MOST_VECTORS, profile.accumulators // f) + 1)
        if f * v * 3 >= profile.accumulators * 2 and _padding(filters, f) * _padding(vectors, v) < WORTH_PADDING
    ]
    return [best, *(tile for tile in others if tile != best)]


def make(workload: Workload, weights: Weights, profile: Profile, tile: Tile) -> Kernel:
    return Kernel(_write(workload, profile, tile), pack_direct(weights, workload.layer.groups, tile.filters))


def choose_tile(workload: Workload, profile: Profile) -> Tile:
    """The tile with the least work per useful output: padding of both axes, and loads against multiply-adds.

    Filters are chosen first, from the layer alone: weights are packed by them, so that a network built for several
    input sizes packs each layer's weights once. Vectors follow from the width of the image.
    """
    filters, vectors = workload.layer.out_shape[0] // workload.layer.groups, workload.output.vectors
    budget = profile.accumulators
    widest = [Tile(f, min(budget // f, MOST_VECTORS)) for f in range(1, min(filters, budget) + 1)]
    chosen = min(widest, key=lambda tile: _padding(filters, tile.filters) * _overhead(tile)).filters
    fitting = [Tile(chosen, v) for v in range(1, min(vectors, budget // chosen) + 1)]
    return min(fitting, key=lambda tile: _padding(vectors, tile.vectors) * _overhead(tile))


def _padding(extent: int, step: int) -> float:
    """Work done over work wanted when `extent` is covered in whole steps."""
    return -(-extent // step) * step / extent


def _overhead(tile: Tile) -> float:
    """Instructions per multiply-add: one load per vector, a splat per filter (partly free), the loop."""
    products = tile.filters * tile.vectors
    return (products + tile.vectors + 0.35 * tile.filters + 1) / products


def pack_direct(weights: Weights, groups: int, filters: int) -> dict[str, np.ndarray]:
    """Weights as [group][filter block][channel][ky][kx][filter] and bias as [group][filter block][filter], flat.

    The last block of a group is filled with zeros.
    """
    weight = weights.weight
    assert weight is not None
    out, channels, height, width = weight.shape
    per_group = out // groups
    blocks = -(-per_group // filters)
    padded = np.zeros((groups, blocks * filters, channels, height, width), np.float32)
    padded[:, :per_group] = weight.reshape(groups, per_group, channels, height, width)
    packed = padded.reshape(groups, blocks, filters, channels, height, width).transpose(0, 1, 3, 4, 5, 2)
    bias = np.zeros((groups, blocks * filters), np.float32)
    bias[:, :per_group] = weights.bias_or_zero(out).reshape(groups, per_group)
    return {"weight": np.ascontiguousarray(packed).ravel(), "bias": bias.ravel()}


def _write(workload: Workload, profile: Profile, tile: Tile):
    layer, source, target = workload.layer, workload.inputs[0], workload.output
    vector = Vector(target.lanes, workload.dtype)
    rows = RowTiles(target, vector, tile.vectors)
    per_group, channels = layer.out_shape[0] // layer.groups, source.channels // layer.groups
    blocks = -(-per_group // tile.filters)
    positions = layer.kernel[0] * layer.kernel[1]
    arguments = workload.arguments(
        weight=layer.groups * blocks * channels * positions * tile.filters, bias=layer.groups * blocks * tile.filters
    )
    # Pointwise layers re-use an input tile across filters only while it is in cache: filters run fastest there.
    grid = [layer.groups * blocks, rows.down, rows.across]
    order = (1, 2, 0) if positions == 1 else (0, 1, 2)
    with kernel(arguments, [grid[axis] for axis in order], profile) as frame:
        block, row, across = (frame.axes[order.index(axis)] for axis in range(3))
        sums = registers(tile.filters * tile.vectors, vector.type, "sums")
        owned = _owned_channels(block, blocks, per_group, tile.filters)
        _start(frame, workload, vector, rows, owned, sums, block, row, across)
        loaded, factor = registers(tile.vectors, vector.type, "loaded"), registers(1, vector.type, "factor")
        first_channel = block // blocks * channels if layer.groups > 1 else 0
        with T.serial(0, channels) as channel:
            for position, ky, kx in _positions(layer):
                for v in range(tile.vectors):
                    where = (first_channel + channel, row, across, v, (ky, kx))
                    put(loaded, v, load_window(frame["in0"], workload, vector, rows, *where))
                weight = ((block * channels + channel) * positions + position) * tile.filters
                _multiply(frame["weight"], weight, vector, tile, sums, loaded, factor)
        finish(frame, workload, vector, rows, owned, sums, row, across)
        rows.zero_borders(frame["out"], owned, row, across)
    return frame.func


def _owned_channels(block, blocks: int, per_group: int, filters: int) -> list:
    """(output channel, whether it exists) of each filter of a work-item; blocks count on through the groups."""
    within = block % blocks if blocks > 1 else 0
    first = block // blocks * per_group + within * filters
    sure = per_group % filters == 0
    return [(first + f, True if sure else within * filters + f < per_group) for f in range(filters)]


def _start(frame, workload: Workload, vector: Vector, rows: RowTiles, owned, sums, block, row, across) -> None:
    """Accumulators start from the bias, and from the addend where the epilogue begins with one."""
    last = workload.layer.out_shape[0] - 1
    for f, (channel, _) in enumerate(owned):
        for v in range(rows.width):
            start = vector.splat(frame["bias"][block * len(owned) + f])
            # a filled-up block's surplus filters read the last channel's addend; their sums are never stored
            addend = initial_addend(frame, workload, vector, T.min(channel, last), row, rows.column(across, v))
            put(sums, f * rows.width + v, start if addend is None else start + addend)


def _positions(layer: Layer) -> Iterator[tuple]:
    """(number, ky, kx) of each kernel position; a loop over ky in the kernel where unrolling would be too much."""
    height, width = layer.kernel
    if height * width > UNROLLED_POSITIONS:
        with T.serial(0, height) as ky:
            yield from ((ky * width + kx, ky, kx) for kx in range(width))
    else:
        yield from ((ky * width + kx, ky, kx) for ky in range(height) for kx in range(width))


def _multiply(buffer, start, vector: Vector, tile: Tile, sums, loaded, factor) -> None:
    """Every accumulator gains its filter's weight times its vector. The splat goes through a register: used inline,
    the OpenCL compiler folds it into each product and loses a quarter of the speed."""
    for f in range(tile.filters):
        put(factor, 0, vector.splat(buffer[start + f]))
        for v in range(tile.vectors):
            at = f * tile.vectors + v
            put(sums, at, sums[at] + loaded[v] * factor[0])


DIRECT = Rule("direct", Tile, space, make)
