"""Direct convolution whose weights are read as an image2d, through the texture cache of an Adreno.

A texel holds the weights of four filters at one input channel and kernel position; a row of the image holds those of
four filters in the order in which the kernel reads them. Activations stay in their planes, so that a network may mix
this schedule with the others. TVM declares textures as `image2d_array_t`; the image has one layer.
"""

from __future__ import annotations

import numpy as np
from tvm.ir import Call, Op, PrimType
from tvm.tirx import IntImm, Shuffle
from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel, put, registers
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import TEXTURE_SCOPE, Kernel, Weights, Workload
from codegen.schedules.direct import Tile
from codegen.schedules.order import TileOrder, band_in_cache
from codegen.schedules.products import Accumulators, FilterBlocks, positions_of
from codegen.schedules.rule import Rule
from codegen.schedules.tile_choice import MOST_VECTORS, padding
from devices.profile import ITEM_BYTES, Profile

TEXEL = 4
#: configurations worth timing
MOST_TILES = 6
POINTWISE_UNROLL = 4


class ImageAccumulators(Accumulators):
    """Accumulators whose factors come from texels."""

    def __init__(self, frame, workload: Workload, blocks: FilterBlocks, rows: RowTiles, vector: Vector) -> None:
        super().__init__(frame, workload, blocks, rows, vector)
        self.texels = registers(blocks.filters // TEXEL, f"{workload.dtype}x{TEXEL}", "texels")

    def _add_channel(self, block, channel, row, across) -> None:
        blocks, width, quads = self.blocks, self.rows.width, self.blocks.filters // TEXEL
        for position, ky, kx in positions_of(self.workload.layer):
            for quad in range(quads):
                column = channel * blocks.positions + position
                put(self.texels, quad, _read(self.frame["weight"], self.workload.dtype, column, block * quads + quad))
            for v in range(width):
                put(self.loaded, v, self._load(channel, row, across, v, (ky, kx)))
            self.multiply(
                Shuffle([self.texels[f // TEXEL]], [IntImm("int32", f % TEXEL)]) for f in range(blocks.filters)
            )


def _read(image, dtype: str, column, row):
    """The texel at (column, row) of an image's only layer."""
    layer, bits = IntImm("int32", 0), IntImm("int32", TEXEL * 8 * ITEM_BYTES[dtype])
    place = [column if hasattr(column, "ty") else IntImm("int32", column), row, layer]
    operands = [image.data, *place, bits, T.Ramp(layer, 1, TEXEL)]
    return Call(Op.get("tirx.texture2d_load"), operands, ret_ty=PrimType(f"{dtype}x{TEXEL}"))


def image_shape(blocks: FilterBlocks) -> tuple[int, int, int]:
    """(rows, columns, 4) of the weights' image."""
    return (blocks.count * blocks.filters // TEXEL, blocks.channels * blocks.positions, TEXEL)


def space(workload: Workload, profile: Profile) -> list[Tile]:
    """Tiles of whole texels that fill the registers well, for convolutions without groups on an Adreno."""
    layer = workload.layer
    if profile.gpu != "adreno" or not profile.image2d or not layer.convolves or layer.groups > 1:
        return []
    filters, vectors, budget = layer.out_shape[0], workload.output.vectors, profile.accumulators
    shapes = [
        (f, v)
        for f in range(TEXEL, budget + 1, TEXEL)
        for v in range(1, min(vectors, MOST_VECTORS, budget // f) + 1)
        if max(image_shape(FilterBlocks.of(layer, f))) <= profile.image2d_max
    ]

    def work(shape: tuple[int, int]) -> float:
        f, v = shape
        return padding(filters, f) * padding(vectors, v) * (f * v + v + f / TEXEL + 1) / (f * v)

    band = band_in_cache(workload, profile)
    return [Tile(*shape, band) for shape in sorted(shapes, key=work)[:MOST_TILES]]


def make(workload: Workload, weights: Weights, profile: Profile, tile: Tile) -> Kernel:
    if tile.filters % TEXEL:
        raise ValueError(f"{tile.filters} filters are no whole texels of {TEXEL}")
    blocks = FilterBlocks.of(workload.layer, tile.filters)
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, tile.vectors)
    order = TileOrder(blocks.count, rows, tile.band)
    image = (image_shape(blocks), workload.dtype, TEXTURE_SCOPE)
    arguments = workload.arguments(weight=image, bias=blocks.constants["bias"])
    with kernel(arguments, order.extents, profile) as frame:
        unroll = POINTWISE_UNROLL if blocks.positions == 1 else 1
        ImageAccumulators(frame, workload, blocks, rows, vector).run(order, unroll)
    return Kernel(frame.func, pack(blocks, weights), textures=frozenset({"weight"}))


def pack(blocks: FilterBlocks, weights: Weights) -> dict[str, np.ndarray]:
    """The weights' image, (rows, columns, 4), and the bias; zeros where a block has no filter."""
    packed = blocks.pack(weights)
    _, columns, _ = shape = image_shape(blocks)
    by_texel = packed["weight"].reshape(blocks.count, columns, blocks.filters // TEXEL, TEXEL)
    return {"weight": np.ascontiguousarray(by_texel.transpose(0, 2, 1, 3)).reshape(shape), "bias": packed["bias"]}


# not taken untuned: nobody has timed it on an Adreno yet
IMAGE = Rule("image", Tile, space, make, prefers=lambda *_: False)
