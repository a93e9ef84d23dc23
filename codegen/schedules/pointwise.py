"""Pointwise (1x1) convolution of stride 1: few multiply-adds per element moved, so what moves when decides its speed.

Besides the tile and the order, a work-item may make several pixel tiles one after the other, and may add the epilogue's
leading addend after the products rather than before: read first, a miss holds up every multiply-add; read last, it
overlaps with the next tile.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.builder import kernel
from codegen.epilogue import finish
from codegen.rows import RowTiles, load_window
from codegen.schedules.order import TileOrder, band_in_cache
from codegen.schedules.products import Accumulators, FilterBlocks, choose_filters_and_vectors, filling_tiles
from codegen.schedules.rule import Rule
from codegen.vectors import Vector
from codegen.workload import Kernel, Weights, Workload
from devices.profile import Profile

#: configurations worth timing
MOST_TILES = 6


@dataclass(frozen=True)
class PointwiseTile:
    """How a pointwise convolution is cut.

    Attributes:
        filters, vectors: accumulators of a work-item.
        band: rows per band; 0: filters run fastest (see TileOrder).
        tiles: pixel tiles per work-item.
        unroll: input channels per turn of the loop.
        late: 1: a leading addend is added after the products, 0: the accumulators start from it.
    """

    filters: int
    vectors: int
    band: int = 0
    tiles: int = 1
    unroll: int = 4
    late: int = 0

    def __str__(self) -> str:
        order = f"b{self.band}" if self.band else "f"
        return f"F{self.filters}V{self.vectors} {order} x{self.tiles} u{self.unroll}{' late' if self.late else ''}"


def space(workload: Workload, profile: Profile) -> list[PointwiseTile]:
    layer = workload.layer
    if layer.op != "conv" or layer.kernel != (1, 1) or layer.groups > 1:
        return []
    if layer.stride != (1, 1) or layer.padding != (0, 0):
        return []
    shape, band = choose_filters_and_vectors(workload, profile), band_in_cache(workload, profile)
    tiles = [PointwiseTile(*shape, order) for order in dict.fromkeys((band, 0, workload.output.height))]
    tiles += [PointwiseTile(*other, band) for other in filling_tiles(workload, profile)[:MOST_TILES]]
    return list(dict.fromkeys(tiles))


def make(workload: Workload, weights: Weights, profile: Profile, tile: PointwiseTile) -> Kernel:
    blocks = FilterBlocks.of(workload.layer, tile.filters)
    vector = Vector(workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, tile.vectors)
    order = TileOrder(blocks.count, rows, tile.band, tile.tiles)
    with kernel(workload.arguments(**blocks.constants), order.extents, profile) as frame:

        def load(*where):
            return load_window(frame["in0"], workload, vector, rows, *where)

        block = order.block(frame.axes)
        items = Accumulators(frame, workload, blocks, rows, vector)
        with order.tile(frame.axes) as (row, across):
            items.start(block, row, across, addend=not tile.late)
            items.add_products(block, row, across, load, tile.unroll)
            owned = blocks.owned(block)
            finish(frame, workload, vector, rows, owned, items.sums, row, across, started=not tile.late)
            rows.zero_borders(frame["out"], owned, row, across)
    return Kernel(frame.func, blocks.pack(weights))


POINTWISE = Rule("pointwise", PointwiseTile, space, make)
