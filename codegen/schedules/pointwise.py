"""Pointwise (1x1) convolution of stride 1: few multiply-adds per element moved, so what moves when decides its speed.

Besides the tile and the order, a work-item may make several pixel tiles one after the other, and may add the epilogue's
leading addend after the products rather than before: read first, a miss holds up every multiply-add; read last, it
overlaps with the next tile.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel
from codegen.kernels.sums import PRODUCTS_OF_TURN
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import Plane
from codegen.schedules.order import TileOrder, band_in_cache
from codegen.schedules.packing.copied_window import CopiedWindow, copies
from codegen.schedules.products import Accumulators, FilterBlocks
from codegen.schedules.rule import Rule
from codegen.schedules.sparse_tiles import TallTiles
from codegen.schedules.streaming.dense import make_accumulators
from codegen.schedules.tile_choice import (
    MANY_ACCUMULATORS,
    choose_filters_and_vectors,
    filling_tiles,
    tall_tile,
)
from devices.profile import Profile

#: tile shapes of least estimated work that are worth timing
MOST_TILES = 5
#: of one work-item; more gain nothing, and leave fewer work-items
MOST_TILES_PER_ITEM = 6
LEAST_ITEMS = 256
#: input channels per turn of the loop
UNROLL = 2
#: filters that read a tile often enough for a copy of it. Tuned with AVX2, six of eleven layers with as many took one,
#: which gained 16 to 50 % on what was the default; on an Intel with AVX-512 ten of seventeen did (codegen/tuning/data)
FILTERS_WORTH_A_COPY = 128


@dataclass(frozen=True)
class PointwiseTile:
    """How a pointwise convolution is cut.

    Attributes:
        filters, vectors: accumulators of a work-item.
        band: rows per band; 0: filters run fastest (see TileOrder).
        tiles: pixel tiles per work-item.
        unroll: input channels per turn of the loop.
        late: 1: a leading addend is added after the products, 0: the accumulators start from it.
        copy: 1: a work-item makes all filters of a tile, of a copy of what it reads (`packing.copied_window`).
    """

    filters: int
    vectors: int
    band: int = 0
    tiles: int = 1
    unroll: int = UNROLL
    late: int = 0
    copy: int = 0

    def __str__(self) -> str:
        order = f"b{self.band}" if self.band else "f"
        marks = (" late" if self.late else "") + (" copy" if self.copy else "")
        return f"F{self.filters}V{self.vectors} {order} x{self.tiles} u{self.unroll}{marks}"


def space(workload: Workload, profile: Profile) -> list[PointwiseTile]:
    """On a CPU first a tall column of filters over a whole row, filters fastest: few planes are read and written at a
    time, each for long. With few accumulators, or where loads are dear, a copied tile, where there are filters enough,
    else, as on a GPU, the tile of least estimated work. What adds another tensor reads and writes most of all: there in
    bands that fit the cache (measured, 1.03 to 1.5 times as fast with residuals)."""
    layer, output = workload.layer, workload.output
    if not layer.convolves or layer.kernel != (1, 1) or layer.groups > 1:
        return []
    if layer.stride != (1, 1) or layer.padding != (0, 0):
        return []
    late = int(bool(layer.epilogue) and layer.epilogue[0].kind == "add")
    band = band_in_cache(workload, profile)
    wide = choose_filters_and_vectors(workload, profile)
    others = [shape for shape in filling_tiles(workload, profile) if shape != wide][:MOST_TILES]
    if profile.gpu != "cpu":
        unroll = PRODUCTS_OF_TURN if workload.widened == "sums" else UNROLL
        return [PointwiseTile(*shape, band, unroll=unroll, late=late) for shape in (wide, *others)]
    tall_first = profile.cheap_loads and profile.accumulators >= MANY_ACCUMULATORS
    tall = tall_tile(workload, profile) if tall_first else wide
    row = _tiles_per_item(output, *tall)
    orders = (band, 0, output.height) if late else (0, band, output.height)
    tiles = [PointwiseTile(*tall, order, row, late=late) for order in dict.fromkeys(orders)]
    tiles.append(PointwiseTile(*tall, 0, row, UNROLL, 1 - late) if late else PointwiseTile(*tall, 0, row, 4))
    tiles += [PointwiseTile(*wide, order, late=late) for order in dict.fromkeys((0, band))]
    tiles += [PointwiseTile(*wide, 0, 4, late=late)]
    tiles += [PointwiseTile(*shape, 0, late=late) for shape in others]
    copied = [PointwiseTile(*s, late=late, copy=1) for s in (wide, *others) if copies(workload, profile, s[1], 1)]
    first = not tall_first and not late and layer.out_shape[0] >= FILTERS_WORTH_A_COPY
    return list(dict.fromkeys([*copied[:1], *tiles, *copied] if first else [*tiles, *copied]))


def _tiles_per_item(output: Plane, filters: int, vectors: int) -> int:
    """Tiles of a whole row, or of its half or third, such that enough work-items are left to share among cores."""
    across = -(-output.vectors // vectors)
    most = min(MOST_TILES_PER_ITEM, across * output.height * -(-output.channels // filters) // LEAST_ITEMS)
    parts = -(-across // max(most, 1))
    return -(-across // parts)


def make(workload: Workload, weights: Weights, profile: Profile, tile: PointwiseTile) -> Kernel:
    blocks = FilterBlocks.of(workload.layer, tile.filters)
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = TallTiles(workload.output, vector, tile.vectors, 1)
    if tile.copy:
        func = _make_copying(workload, blocks, rows, vector, profile, tile)
        return Kernel(func, blocks.pack(weights), channels=blocks.row_channels)
    order = TileOrder(blocks.count, rows, tile.band, tile.tiles)
    with kernel(workload.arguments(**blocks.constants), order.extents, profile) as frame:
        make_accumulators(frame, workload, blocks, rows, vector).run(order, tile.unroll, bool(tile.late))
    return Kernel(frame.func, blocks.pack(weights), channels=blocks.row_channels)


def _make_copying(
    workload: Workload, blocks: FilterBlocks, rows: TallTiles, vector: Vector, profile: Profile, tile: PointwiseTile
):
    """The function whose work-items make all filters of a tile."""
    with kernel(workload.arguments(**blocks.constants), (rows.down, rows.across), profile) as frame:
        (row, across), copied = frame.axes, CopiedWindow(frame, workload, vector, rows)
        copied.fill(row, across)

        def load(channel, _row, _across, number, _position):
            return copied.load(channel * copied.channel, 0, number)

        sums = Accumulators(frame, workload, blocks, rows, vector, load)
        with T.serial(0, blocks.count) as block:
            sums.make(block, row, across, tile.unroll, bool(tile.late))
    return frame.func


POINTWISE = Rule("pointwise", PointwiseTile, space, make, widens=True)
