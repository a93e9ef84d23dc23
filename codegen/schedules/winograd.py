"""Winograd convolution F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3), in three grids.

1. Every n x n input tile (n = m + 2) is transformed: V [n * n][channel][tile].
2. For each of the n * n positions a matrix product over channels: M [n * n][filter][tile] = U [filter][channel] V.
3. Every tile of M is transformed back into m x m outputs, with the epilogue.

That is n * n / (9 m m) of the direct multiplications: 1 / 2.25 for m = 2, 1 / 4 for m = 4. The filters' transform U is
computed when the network is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import emit, function, when
from codegen.kernels.sums import PRODUCTS_OF_TURN
from codegen.kernels.vectors import Vector
from codegen.kernels.widening import WINOGRAD_CHANNELS
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.rule import Rule
from codegen.schedules.streaming.matrix import ProductSums
from codegen.schedules.tile_choice import padding, register_sums
from codegen.schedules.winograd_grids import Tiling, write_input_grid, write_output_grid
from codegen.schedules.winograd_transforms import row_weights, transform_filters
from devices.profile import Profile

#: channels per turn of the products' loop
UNROLL = 4
#: vectors that registers must hold for a work-item to transform all rows of tiles of F(4 x 4). Mesa's compiler keeps
#: what rows share, 30 vectors of input, wherever it lies in the text: with the 16 of a Mali-G76 it moved 29 to 186
#: vectors to memory and back, with the 24 of an Adreno 730 none
REGISTERS_OF_ROWS = 24
#: of rounding, by outputs of a tile along each axis: the errors of 28 kernels of F(2 x 2) in float32 and 39 in half
#: precision were up to twice what is usual of sums, as others' are, those of 20 of F(4 x 4) up to 24 times
AMPLIFICATION = {2: 2.0, 4: 12.0}


@dataclass(frozen=True)
class WinogradTile:
    """How a Winograd convolution is cut.

    Attributes:
        m: outputs of a tile along each axis, 2 or 4.
        filters, vectors: accumulators of a work-item of the matrix products.
        filters_first: 1: work-items that share tiles run together; 0: those that share filters.
    """

    m: int
    filters: int
    vectors: int
    filters_first: int = 1

    def __str__(self) -> str:
        return f"m{self.m} F{self.filters}V{self.vectors}{' f' if self.filters_first else ' t'}"


def turn_of(workload: Workload) -> int:
    """Channels per turn of a GPU's loop."""
    return PRODUCTS_OF_TURN if workload.widened == "sums" else UNROLL


def tiling_of(workload: Workload, profile: Profile, m: int) -> Tiling:
    """The tiles of a workload; see Tiling for when they lie densely."""
    dense, registers = profile.gpu == "cpu", profile.vector_registers
    row_items = m > 2 and not dense and registers is not None and registers < REGISTERS_OF_ROWS
    return Tiling(workload.output, m, dense, row_items)


def legal(workload: Workload) -> bool:
    """What Winograd can compute (`Layer.winograd_legal`), on an input whose zero border is as wide as the padding.
    Where products may leave half's range, so may what its transforms make of operands and sums, which stay halves."""
    layer, border = workload.layer, workload.inputs[0].border
    if workload.widened == "products":
        return False
    return layer.winograd_legal and all(wanted <= zeros for wanted, zeros in zip(layer.padding, border, strict=True))


def space(workload: Workload, profile: Profile) -> list[WinogradTile]:
    """F(4 x 4) first; not in half precision, where its transforms, with factors from 1/24 to 8, lose too much."""
    if not legal(workload):
        return []
    sizes = (2,) if workload.dtype == "float16" else (4, 2)
    tiles = []
    for m in sizes:
        tiling = tiling_of(workload, profile, m)
        shapes = _shapes(workload.layer.out_shape[0], tiling.vectors, register_sums(workload, profile))
        tiles += [WinogradTile(m, *shape) for shape in shapes[: 3 if m == 4 else 1]]
        tiles += [WinogradTile(m, *shapes[0], filters_first=0)]
    return tiles


def _shapes(filters: int, vectors: int, budget: int) -> list[tuple[int, int]]:
    """(filters, vectors) of work-items, least work first."""
    shapes = {(f, min(budget // f, vectors, v)) for f in range(1, min(filters, budget) + 1) for v in (1, 2, 3, 4)}
    return sorted(sorted(shapes), key=lambda shape: work_per_product(filters, vectors, shape))


def work_per_product(filters: int, vectors: int, shape: tuple[int, int]) -> float:
    """Instructions per useful multiply-add of work-items of `shape`, (filters, vectors): padding of all the layer's
    filters and vectors, loads, splats, the loop."""
    f, v = shape
    return padding(filters, f) * padding(vectors, v) * (f * v + v + 0.35 * f + 1) / (f * v)


def amplifies(tile: WinogradTile) -> float:
    """By how much rounding is amplified: transforms add six terms at most, times up to 8, which nearly cancel."""
    return AMPLIFICATION[tile.m]


def prefers(workload: Workload, profile: Profile) -> bool:
    """Where it pays untuned: enough channels to outweigh the transforms.

    Measured on a CPU with AVX-512, F(4 x 4) ties with direct convolution at 16 channels in and out, is 1.4 times as
    fast at 32, 2.3 times at 64. On phone GPUs the rule of LiteRT's GPU delegate for F(4 x 4), and MNN's 32 channels
    for F(2 x 2) in half precision.
    """
    channels, filters = workload.inputs[0].channels, workload.output.channels
    if profile.gpu == "cpu" or workload.dtype == "float16":
        return min(channels, filters) >= WINOGRAD_CHANNELS
    least = 32 if profile.gpu == "adreno" else 16
    tiles = ceil(workload.output.height / 4) * ceil(workload.output.width / 4)
    enough = (128 if "6" in profile.name.partition("-")[2][:1] else 64) if profile.gpu == "adreno" else 32
    return min(ceil(channels / 4), ceil(filters / 4)) >= least and tiles >= enough


def make(workload: Workload, weights: Weights, profile: Profile, tile: WinogradTile) -> Kernel:
    """The dense kernel."""
    assert weights.weight is not None
    channels, filters = workload.inputs[0].channels, workload.output.channels
    blocks = ceil(filters / tile.filters)
    padded = np.zeros((blocks * tile.filters, channels, 3, 3))
    padded[:filters] = weights.weight
    transformed = transform_filters(padded, tile.m).reshape(-1, blocks, tile.filters, channels)
    packed = np.ascontiguousarray(transformed.transpose(0, 1, 3, 2), np.float32).ravel()

    def products(frame, tiling: Tiling, position, block, add: ProductSums) -> None:
        start = (position * blocks + block) * channels
        if frame.profile.streams:
            place = tiling.v(channels, position, 0, 0)
            add.stream(place, start * tile.filters).add_rows(channels, tiling.pitch, turn_of(workload))
            return
        whole = channels // UNROLL
        if whole:
            with T.serial(0, whole) as step:
                for number in range(UNROLL):
                    channel = step * UNROLL + number
                    add(tiling.v(channels, position, channel, 0), (start + channel) * tile.filters)
        for channel in range(whole * UNROLL, channels):
            add(tiling.v(channels, position, channel, 0), (start + channel) * tile.filters)

    return write(workload, weights, profile, tile, {"weight": packed}, products)


def write(
    workload: Workload, weights: Weights, profile: Profile, tile: WinogradTile, constants: dict, products: Callable
) -> Kernel:
    """The three grids around `products(frame, tiling, position, block, add)`, which calls add(place of the channel's
    first tile in V, place of its weights) for every channel that filter block `block` reads, or, on a GPU, takes a
    `ProductStream` for all of them by add.stream(the same places of the first). `constants` are what it reads, "weight"
    first."""
    tiling = tiling_of(workload, profile, tile.m)
    channels, filters = workload.inputs[0].channels, workload.output.channels
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    # accumulators start from a zero the compiler does not know: known ones made it spill
    constants |= {"zero": np.zeros(1, np.float32), "bias": weights.bias_or_zero(filters)}
    if tiling.row_items:
        constants |= row_weights(tile.m)
    sizes = {
        name: (array.size, workload.dtype if array.dtype.kind == "f" else "int32") for name, array in constants.items()
    }
    overrun = (tile.vectors + 1) * vector.lanes
    with function(workload.arguments(**sizes), profile) as frame:
        frame.scratch("v", tiling.v(channels, tiling.positions, 0, overrun), workload.dtype)
        frame.scratch("m", tiling.m_index(0, filters, overrun), workload.dtype)
        write_input_grid(frame, workload, tiling, vector)
        _write_products(frame, workload, tiling, tile, vector, products)
        write_output_grid(frame, workload, tiling, vector)
    return Kernel(frame.func, constants, frame.grids)


def _write_products(
    frame, workload: Workload, tiling: Tiling, tile: WinogradTile, vector: Vector, products: Callable
) -> None:
    """The matrix products: a work-item has `filters` x `vectors` accumulators at one position."""
    filters = workload.output.channels
    blocks, parts = ceil(filters / tile.filters), ceil(tiling.vectors / tile.vectors)
    grid = (tiling.positions, parts, blocks) if tile.filters_first else (tiling.positions, blocks, parts)
    with frame.grid(grid) as axes:
        position, part, block = (axes[0], axes[1], axes[2]) if tile.filters_first else (axes[0], axes[2], axes[1])
        first = part * tile.vectors * vector.lanes
        add = ProductSums(frame, workload, vector, tile.filters, tile.vectors, first)
        sums = add.sums
        products(frame, tiling, position, block, add)
        sums.finish()
        for f in range(tile.filters):
            channel = block * tile.filters + f
            with when(True if filters % tile.filters == 0 else channel < filters):
                for v in range(tile.vectors):
                    inside = tiling.vectors % tile.vectors == 0 or v < tiling.vectors % tile.vectors
                    with when(True if inside else part < parts - 1):
                        index = tiling.m_index(position, channel, first + v * vector.lanes)
                        value = vector.convert(sums.held[f * tile.vectors + v], sums.vector.dtype)
                        emit(vector.store(value, frame["m"], index))


WINOGRAD = Rule("winograd", WinogradTile, space, make, prefers, widens=True, amplifies=amplifies)
