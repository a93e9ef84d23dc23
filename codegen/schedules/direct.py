"""Direct convolution: any kernel, stride, padding, dilation and groups, read straight from the input's plane."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.kernels.builder import kernel
from codegen.kernels.rows import RowTiles
from codegen.kernels.sums import PRODUCTS_OF_TURN
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.order import TileOrder, band_in_cache
from codegen.schedules.products import FilterBlocks
from codegen.schedules.rule import Rule
from codegen.schedules.streaming.dense import make_accumulators
from codegen.schedules.tile_choice import choose_filters_and_vectors, filling_tiles, tall_tile
from devices.profile import Profile

#: configurations worth timing
MOST_TILES = 8


@dataclass(frozen=True)
class Tile:
    """Output channels x vectors per work-item, and rows per band (0: filters run fastest; see TileOrder)."""

    filters: int
    vectors: int
    band: int = 0

    def __str__(self) -> str:
        return f"F{self.filters}V{self.vectors} " + (f"b{self.band}" if self.band else "f")


def space(workload: Workload, profile: Profile) -> list[Tile]:
    """The tile of least estimated work in bands that fit the cache; its other orders; other tiles that fill the
    registers well. Strided vectors are dear: there, tall tiles first."""
    layer = workload.layer
    if not layer.convolves:
        return []
    band = band_in_cache(workload, profile)
    wide, tall = choose_filters_and_vectors(workload, profile), tall_tile(workload, profile)
    first, second = (wide, tall) if layer.stride[1] == 1 or profile.streams else (tall, wide)
    tiles = [Tile(*first, order) for order in (band, 0, workload.output.height)]
    tiles += [Tile(*shape, band) for shape in (second, *filling_tiles(workload, profile)[:MOST_TILES])]
    return list(dict.fromkeys(tiles))


def make(workload: Workload, weights: Weights, profile: Profile, tile: Tile) -> Kernel:
    blocks = FilterBlocks.of(workload.layer, tile.filters)
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, tile.vectors)
    order = TileOrder(blocks.count, rows, tile.band)
    with kernel(workload.arguments(**blocks.constants), order.extents, profile) as frame:
        unroll = -(-PRODUCTS_OF_TURN // blocks.positions) if workload.widened == "sums" else 1
        # sums that start from a tensor have its addresses in a GPU's registers beside those of the products
        make_accumulators(frame, workload, blocks, rows, vector).run(order, unroll, late=profile.streams)
    return Kernel(frame.func, blocks.pack(weights), channels=blocks.row_channels)


DIRECT = Rule("direct", Tile, space, make, widens=True)
