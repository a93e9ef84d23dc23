"""Sparse convolution by filter groups that share their kept (channel, kernel position) columns.

For block-punched, column and connectivity sparsity (GRIM, Niu et al. 2021; YOLObile, Cai et al. 2021). A work-item
computes one filter group on one pixel tile: it loops over the group's list of columns, each an offset into the input's
planes with channel and position folded into one number, and one weight per filter. A list entry may stand for several
neighbouring channels, whose planes are then read at a fixed distance. Of a convolution in several groups a filter
group lies within one of them, and its columns are of that group's channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, prod

from tvm.tirx.script import builder as T

from codegen.kernels.builder import function, put, registers
from codegen.kernels.rows import reads_by_pointers
from codegen.kernels.sums import PRODUCTS_OF_TURN
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules import phases
from codegen.schedules.column_lists import ColumnLists, filters_of_group
from codegen.schedules.column_tiles import column_shapes
from codegen.schedules.order import CACHE_BYTES, TileOrder, band_in_cache
from codegen.schedules.packing.copied_window import CopiedWindow, copies
from codegen.schedules.rule import Rule
from codegen.schedules.sparse_tiles import TallAccumulators, TallTiles, Window
from codegen.schedules.streaming.lists import ListStream
from devices.profile import Profile
from models.plans.sparsity import Sparsity

#: weights of so many times the cache are read anew for every tile: they stream from the next cache, ahead of their use
WEIGHTS_OF_CACHE = 2
#: vector multiply-adds that make launching a work-item negligible, and the most tiles it is given for that
ENOUGH_PRODUCTS, MOST_TILES_OF_ITEM = 2000, 8
#: of the list, in a turn of a GPU's loop: where all groups have the same number of them, and where those that are left
#: over are turns of their own
ENTRIES_OF_TURN, ENTRIES_OF_TURN_AT_LEAST = 8, 4
#: fewer turns of a loop than this are taken apart by compilers
LEAST_TURNS = 3
#: of stride 2, configurations worth timing of the way that is not preferred
SECOND_CHOICES = 3


@dataclass(frozen=True)
class ColumnTile:
    """How columns are listed and who computes what.

    Attributes:
        filters: of a group of the kernel; need not be the sparsity's.
        vectors, rows: of a pixel tile.
        band: blocks of rows per band (0: filter groups run fastest; see TileOrder).
        tiles: pixel tiles a work-item makes one after the other.
        channels: neighbouring input channels that one entry of the list stands for.
        order: of the entries, "channel" or "position" first.
        unroll: entries per turn of the loop, where all groups have the same number.
        sorted: 1: longer groups come first.
        split: 1: the input's columns are split into even and odd ones first (see `codegen.schedules.phases`).
        copy: 1: a work-item makes all filters of a tile, of a copy of what it reads (`packing.copied_window`).
    """

    filters: int
    vectors: int
    rows: int = 1
    band: int = 0
    tiles: int = 1
    channels: int = 1
    order: str = "position"
    unroll: int = 1
    sorted: int = 0
    split: int = 0
    copy: int = 0

    def __str__(self) -> str:
        text = f"F{self.filters}V{self.vectors}" + (f"R{self.rows}" if self.rows > 1 else "")
        parts = [text, f"b{self.band}" if self.band else "f"]
        counts = {"t": self.tiles, "c": self.channels, "u": self.unroll}
        parts += [f"{letter}{count}" for letter, count in counts.items() if count > 1]
        return " ".join(
            [
                *parts,
                self.order,
                *(["sorted"] if self.sorted else []),
                *(["split"] if self.split else []),
                *(["copy"] if self.copy else []),
            ]
        )


def space(workload: Workload, profile: Profile) -> list[ColumnTile]:
    """The tile of least estimated work; its other orders and lists; other tiles that fill the registers.

    Of stride 2 on a CPU, first with the columns split (where `phases` is preferred), then some without.
    """
    layer, sparsity = workload.layer, workload.sparsity
    if not layer.convolves or sparsity is None or sparsity.pattern == "pattern":
        return []
    if layer.groups > 1 and filters_of_group(layer) % sparsity.block[0]:
        return []
    plain = _space(workload, profile, sparsity, 0)
    if profile.gpu != "cpu" or not phases.legal(workload):
        return plain
    split = _space(workload, profile, sparsity, 1)
    both = (split, plain) if phases.prefers(workload, profile) else (plain, split)
    return [*both[0], *both[1][:SECOND_CHOICES]]


def _space(workload: Workload, profile: Profile, sparsity: Sparsity, split: int) -> list[ColumnTile]:
    layer, shapes = workload.layer, column_shapes(workload, profile, sparsity.block[0], split)
    turn = entries_of_turn(workload, profile) if profile.streams else 1

    def place(shape: tuple[int, int, int], band: int) -> ColumnTile:
        """`band` in rows."""
        tiles = _tiles(workload, profile, sparsity, shape) if band else 1
        return ColumnTile(*shape, -(-band // shape[2]), tiles, unroll=turn, split=split)

    band, height = _band(workload, profile, sparsity), workload.output.height
    choices = [place(shapes[0], rows) for rows in (band, 0, height)]
    if not split and _streams_weights(workload, profile, sparsity):
        choices = [place(shapes[0], rows) for rows in (0, band)]
        fitting = [shape for shape in shapes if copies(workload, profile, *shape[1:])]
        choices = [*(ColumnTile(*shape, unroll=2, copy=1) for shape in fitting), *choices]
    first = choices[0]
    if 1 < sparsity.block[1] <= layer.weight_shape[1]:
        choices.append(replace(first, channels=sparsity.block[1]))
    if layer.kernel == (1, 1):
        other = ENTRIES_OF_TURN + ENTRIES_OF_TURN_AT_LEAST - turn
        choices.append(replace(first, unroll=other if profile.streams else 3 - first.unroll))
    else:
        choices.append(replace(first, order="channel"))
    if not sparsity.balanced:
        choices += [replace(tile, sorted=1) for tile in choices[:2]]
    for shape in shapes[1:]:
        choices += [place(shape, band), place(shape, 0)]
    return list(dict.fromkeys(choices))


def entries_of_turn(workload: Workload, profile: Profile) -> int:
    """Of the list, in a turn of a GPU's loop.

    Eight take 1 to 4 % fewer instructions than four. But of a short list Mesa's compiler for an Adreno 730 makes no
    loop then, and spills where a tensor is added, with 20 columns in half 60 times, at 1.4 times the cycles; that for a
    Mali-G76 spills where every second element is read.
    """
    if workload.widened == "sums":
        return PRODUCTS_OF_TURN
    sparsity, weight = workload.sparsity, workload.layer.weight_shape
    spills = profile.gpu == "mali" and workload.layer.stride[1] > 1
    if sparsity is None or not sparsity.balanced or spills:
        return ENTRIES_OF_TURN_AT_LEAST
    entries = sparsity.kept_fraction(weight) * prod(weight[1:])
    return ENTRIES_OF_TURN if entries >= LEAST_TURNS * ENTRIES_OF_TURN else ENTRIES_OF_TURN_AT_LEAST


def _streams_weights(workload: Workload, profile: Profile, sparsity: Sparsity) -> bool:
    """Whether a CPU reads a layer's weights as often as it has tiles, and each tile once: where its cache has the
    weights. Measured on a Zen 3, 1x1 with 512 channels took a quarter less time so than in bands, and dilated 3x3 with
    128 a tenth less."""
    shape = workload.layer.weight_shape
    kept = sparsity.kept_fraction(shape) * prod(shape) * workload.output.item_bytes
    return profile.gpu == "cpu" and kept <= WEIGHTS_OF_CACHE * (profile.cache_bytes or CACHE_BYTES)


def _band(workload: Workload, profile: Profile, sparsity: Sparsity) -> int:
    """Rows of a band whose input fits the cache as far as a filter group reads it."""
    weight = workload.layer.weight_shape
    share = min(1.0, sparsity.kept_fraction(weight) * prod(weight[2:]))
    return min(ceil(band_in_cache(workload, profile) / share), workload.output.height)


def _tiles(workload: Workload, profile: Profile, sparsity: Sparsity, shape: tuple[int, int, int]) -> int:
    """Pixel tiles per work-item, so that launching it does not count where few columns are kept.

    One on a GPU, which starts work-items in hardware, hides latency by their number, and wants registers for the loop
    over tiles: with it Mesa's compiler for a Mali-G76 spills in five kernels of lwop with half of its columns, in half.
    """
    if profile.streams:
        return 1
    weight = workload.layer.weight_shape
    products = sparsity.kept_fraction(weight) * prod(weight[1:]) * prod(shape)
    return max(1, min(MOST_TILES_OF_ITEM, round(ENOUGH_PRODUCTS / max(products, 1))))


def make(workload: Workload, weights: Weights, profile: Profile, tile: ColumnTile) -> Kernel:
    assert weights.weight is not None
    if tile.split and not phases.legal(workload):
        raise ValueError(f"columns are split at stride 2 and within the borders only, not for {workload.label}")
    if workload.layer.groups > 1 and filters_of_group(workload.layer) % tile.filters:
        raise ValueError(f"blocks of {tile.filters} filters do not divide the groups of {workload.label}")
    halves = phases.Phases(workload) if tile.split else None
    tile = replace(tile, channels=min(tile.channels, workload.layer.weight_shape[1]))
    lists = ColumnLists.of(weights.weight, tile.filters, tile.channels, tile.order, bool(tile.sorted))
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = TallTiles(workload.output, vector, tile.vectors, tile.rows)
    constants = lists.constants(
        workload, weights, tile.filters, halves, (rows.width, rows.height) if tile.copy else None
    )
    streams = not tile.copy and reads_by_pointers(profile, workload, rows)
    if streams:
        constants["offset"] *= workload.inputs[0].item_bytes
    order = TileOrder(len(lists.packed.groups), rows, tile.band, tile.tiles)
    sizes = {
        name: array.size if array.dtype.kind == "f" else (array.size, "int32") for name, array in constants.items()
    }
    with function(workload.arguments(**sizes), profile) as frame:
        if halves is not None:
            frame.scratch("phases", halves.size((tile.vectors + 1) * vector.lanes), workload.dtype)
            phases.write_split(frame, workload, halves, vector)
        if tile.copy:
            with frame.grid((rows.down, rows.across)) as (block, across):
                copied = CopiedWindow(frame, workload, vector, rows)
                copied.fill(block, across)
                item = _Item(frame, workload, lists, tile, rows, copied)
                with T.serial(0, len(lists.packed.groups)) as place:
                    item.make(place, block, across)
        else:
            with frame.grid(order.extents):
                window = Window(frame, workload, vector, rows, halves)
                item = _Item(frame, workload, lists, tile, rows, window, streams)
                place = order.block(frame.axes)
                with order.tile(frame.axes) as (block, across):
                    item.make(place, block, across)
    return Kernel(frame.func, constants, frame.grids, channels=lists.row_channels(workload.layer))


class _Item:
    """What a work-item does with its group's list."""

    def __init__(
        self,
        frame,
        workload: Workload,
        lists: ColumnLists,
        tile: ColumnTile,
        rows: TallTiles,
        window: Window | CopiedWindow,
        streams: bool = False,
    ) -> None:
        self.frame, self.lists, self.tile, self.rows, self.window = frame, lists, tile, rows, window
        self.out, vector = workload.layer.out_shape[0], window.vector
        self.sums = TallAccumulators(frame, workload, vector, rows, tile.filters)
        self.stream: ListStream | None = None
        if streams:
            assert isinstance(window, Window)
            self.stream = ListStream(frame, window, self.sums, tile.channels)
            return
        self.loaded = registers(rows.height * rows.width, self.sums.products.type, "loaded")
        self.at = registers(1, "int32", "at")

    def make(self, place, block, across) -> None:
        """The tile at (block of rows, tile along the row) of the filters of the packed group `place`."""
        owned = self.owned(place)
        self.sums.start(owned, place * self.tile.filters, block, across)
        self.add_columns(place, block, across)
        self.sums.finish(owned, block, across)

    def owned(self, place) -> list[tuple]:
        """(output channel, whether it exists) of each filter of the packed group `place`."""
        filters, group = self.tile.filters, place
        if self.lists.is_sorted:
            chosen = registers(1, "int32", "group")
            put(chosen, 0, self.frame["groups"][place])
            group = chosen[0]
        first = group * filters
        return [(first + f, True if self.out % filters == 0 else first + f < self.out) for f in range(filters)]

    def add_columns(self, place, block, across) -> None:
        base, count = self.window.base(block, across), self.lists.packed.common_length
        if count == 0:
            return
        if count is None:
            bounds = registers(2, "int32", "bounds")
            for end in (0, 1):
                put(bounds, end, self.frame["starts"][place + end])
            if self.stream is not None:
                self.stream.add(bounds[0], bounds[1] - bounds[0], base, self.tile.unroll)
                return
            with T.serial(0, bounds[1] - bounds[0]) as number:
                self._add(bounds[0] + number, base)
            return
        if self.stream is not None:
            self.stream.add(place * count, count, base, self.tile.unroll)
            return
        unroll = min(self.tile.unroll, count)
        with T.serial(0, count // unroll) as turn:
            for number in range(unroll):
                self._add(place * count + turn * unroll + number, base)
        for number in range(count // unroll * unroll, count):
            self._add(place * count + number, base)

    def _add(self, entry, base) -> None:
        put(self.at, 0, self.frame["offset"][entry] + base)
        places = [(row, v) for row in range(self.rows.height) for v in range(self.rows.width)]
        for channel in range(self.tile.channels):
            for number, (row, v) in enumerate(places):
                value = self.window.load(self.at[0], row, v, channel * self.window.channel)
                put(self.loaded, number, self.sums.operand(value))
            vectors = [
                [self.loaded[row * self.rows.width + v] for v in range(self.rows.width)]
                for row in range(self.rows.height)
            ]
            first = (entry * self.tile.channels + channel) * self.tile.filters
            self.sums.multiply([self.frame["weight"][first + f] for f in range(self.tile.filters)], vectors)
            self.sums.settle()


COLUMNS = Rule("columns", ColumnTile, space, make, reads_sparsity=True, widens=True)
