"""Products of two tensors, "matmul": what attention is made of. Both operands are read where they lie in their planes.

A work-item keeps filters x vectors accumulators: `filters` rows of the result, which are channels, and neighbouring
vectors along its columns. For each step of the depth it loads its vectors from a row of the right operand, and for each
of its rows one number of the left operand, which is uniform over the work-items of a row. That is a 1x1 convolution
whose weights come from a tensor; where they lie makes no difference, since each is read as a single number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from tvm.tirx.script import builder as T

from codegen.kernels.builder import kernel, put, registers
from codegen.kernels.epilogue import finish
from codegen.kernels.pointers import Pointer
from codegen.kernels.rows import RowTiles
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.plane import Plane
from codegen.schedules.rule import Rule
from codegen.schedules.tile_choice import MOST_VECTORS, padded_work
from devices.profile import Profile
from models.graph.product import Product, Walk

#: tiles of least estimated work that are worth timing
MOST_TILES = 6
#: steps of the depth per turn of the loop
UNROLL = 2


@dataclass(frozen=True)
class ProductTile:
    """Rows of the result x vectors along its columns per work-item; steps of the depth per turn of the loop."""

    filters: int
    vectors: int
    unroll: int = UNROLL

    def __str__(self) -> str:
        return f"F{self.filters}V{self.vectors} u{self.unroll}"


def space(workload: Workload, profile: Profile) -> list[ProductTile]:
    """The tiles of least estimated work, and the first of them with a longer turn."""
    product = workload.layer.product
    if product is None:
        return []
    rows, vectors, budget = product.rows, workload.output.vectors, profile.accumulators
    shapes = [
        (f, v) for f in range(1, min(rows, budget) + 1) for v in range(1, min(vectors, MOST_VECTORS, budget // f) + 1)
    ]
    ranked = sorted(shapes, key=lambda tile: padded_work(rows, vectors, tile))
    return [*(ProductTile(*shape) for shape in ranked[:MOST_TILES]), ProductTile(*ranked[0], unroll=4)]


def make(workload: Workload, _weights: Weights, profile: Profile, tile: ProductTile) -> Kernel:
    product = workload.layer.product
    assert product is not None
    vector = Vector.on(profile, workload.output.lanes, workload.dtype)
    rows = RowTiles(workload.output, vector, tile.vectors)
    blocks = -(-product.rows // tile.filters)
    with kernel(workload.arguments(), (prod(product.batch), blocks, rows.across), profile) as frame:
        batch, block, across = frame.axes
        item = _ProductItem(frame, workload, vector, rows, tile)
        item.run(_digits(batch, product.batch), block, across)
    return Kernel(frame.func)


class _ProductItem:
    """What one work-item does."""

    def __init__(self, frame, workload: Workload, vector: Vector, rows: RowTiles, tile: ProductTile) -> None:
        assert workload.layer.product is not None
        self.frame, self.workload, self.vector, self.rows, self.tile = frame, workload, vector, rows, tile
        self.product: Product = workload.layer.product
        self.sums = registers(tile.filters * tile.vectors, vector.type, "sums")
        self.loaded = registers(tile.vectors, vector.type, "loaded")
        self.factor = registers(1, vector.type, "factor")

    def run(self, batch: Sequence, block, across) -> None:
        """The products of `filters` rows from block x filters on, and their epilogue."""
        product, tile, vector = self.product, self.tile, self.vector
        for at in range(tile.filters * tile.vectors):
            put(self.sums, at, vector.splat(0))
        if self.frame.profile.streams and self._loads_rows:
            self._stream(batch, block, across)
        else:
            self._add_all(batch, block, across)
        for at in range(tile.filters * tile.vectors if product.scale != 1 else 0):
            put(self.sums, at, self.sums[at] * vector.splat(product.scale))
        channel, row, _ = _place(product.out, [*batch, block * tile.filters, 0, 0])
        owned = [(channel + f, self._exists(block, f)) for f in range(tile.filters)]
        finish(self.frame, self.workload, vector, self.rows, owned, self.sums, row, across, started=False)
        self.rows.zero_borders(self.frame["out"], owned, row, across)

    def _add_all(self, batch: Sequence, block, across) -> None:
        """Every step of the depth, by indices."""
        depth, unroll = self.product.depth, self.tile.unroll
        if turns := depth // unroll:
            with T.serial(0, turns) as turn:
                for number in range(unroll):
                    self._add(batch, block, across, turn * unroll + number)
        for number in range(turns * unroll, depth):
            self._add(batch, block, across, number)

    def _stream(self, batch: Sequence, block, across) -> None:
        """Every step of the depth, by a pointer along each row of the left operand and one down the right one."""
        product, (left, right) = self.product, self.workload.operands
        rows = [self._row(block, f) for f in range(self.tile.filters)]
        places = [left.index(*_place(product.left, [*batch, row, 0, 0])) for row in rows]
        lefts = [Pointer.to(self.frame, "in0", place) for place in places]
        column = self.rows.column(across, 0)
        origin = Pointer.to(self.frame, "in1", right.index(*_place(product.right, [*batch, 0, column, 0])))
        steps = [_stride(walk, plane) for walk, plane in ((product.left, left), (product.right, right))]

        def turn(count: int) -> None:
            for number in range(count):
                for v in range(self.tile.vectors):
                    put(self.loaded, v, self.vector.load(origin, number * steps[1] + v * self.vector.lanes))
                self._multiply(pointer[number * steps[0]] for pointer in lefts)
            for pointer in lefts:
                pointer.advance(count * steps[0])
            origin.advance(count * steps[1])

        turns, rest = divmod(product.depth, self.tile.unroll)
        if turns:
            with T.serial(0, turns):
                turn(self.tile.unroll)
        if rest:
            turn(rest)

    @property
    def _loads_rows(self) -> bool:
        """Whether the result's columns are the right operand's, so that its vectors are plain loads."""
        return self.product.right.steps[-2] == (0, 0, 1)

    def _row(self, block, number: int):
        """The left operand's row: surplus ones of the last block repeat its last one; their sums are never stored."""
        row = block * self.tile.filters + number
        return row if self._exists(block, number) is True else T.min(row, self.product.rows - 1)

    def _exists(self, block, number: int):
        """Whether a block has so many rows and one more; True where all have."""
        sure = self.product.rows % self.tile.filters == 0
        return True if sure else block * self.tile.filters + number < self.product.rows

    def _add(self, batch: Sequence, block, across, depth) -> None:
        """One step of the depth for every accumulator."""
        product, (left, right) = self.product, self.workload.operands
        for v in range(self.tile.vectors):
            column = self.rows.column(across, v)
            put(self.loaded, v, self._load(right, [*batch, 0, column, depth]))
        rows = (self._row(block, f) for f in range(self.tile.filters))
        self._multiply(self.frame["in0"][left.index(*_place(product.left, [*batch, row, 0, depth]))] for row in rows)

    def _multiply(self, numbers: Iterable) -> None:
        """Every accumulator gains its row's number of the left operand times its vector, as `loaded`. The splat goes
        through a register, as in `products`."""
        width = self.tile.vectors
        for f, number in enumerate(numbers):
            put(self.factor, 0, self.vector.splat(number))
            for v in range(width):
                at = f * width + v
                put(self.sums, at, self.sums[at] + self.loaded[v] * self.factor[0])

    def _load(self, right: Plane, loops: Sequence):
        """A vector of the right operand along the result's columns: a plain load where those are its columns."""
        walk, buffer = self.product.right, self.frame["in1"]
        if self._loads_rows:
            return self.vector.load(buffer, right.index(*_place(walk, loops)))
        *others, column, depth = loops
        lanes = [T.min(column + lane, self.product.columns - 1) for lane in range(self.vector.lanes)]
        return self.vector.gather([buffer[right.index(*_place(walk, [*others, lane, depth]))] for lane in lanes])


def _stride(walk: Walk, plane: Plane) -> int:
    """Elements of a plane from one step of the depth to the next."""
    channel, row, column = walk.steps[-1]
    return channel * plane.stride + row * plane.pitch + column


def _place(walk: Walk, loops: Sequence) -> tuple:
    """(channel, row, column) where the loops' numbers lead."""
    places = []
    for axis in range(3):
        place = walk.first[axis]
        for number, step in zip(loops, walk.steps, strict=True):
            if step[axis]:
                place = place + number * step[axis]
        places.append(place)
    return tuple(places)


def _digits(number, extents: Sequence[int]) -> list:
    """The indices along each of `extents` of what has the given number when all are counted, the last one fastest."""
    digits: list = []
    for position, extent in reversed(list(enumerate(extents))):
        digits.insert(0, number % extent if position else number)
        number = number // extent
    return digits


MATMUL = Rule("matmul", ProductTile, space, make)
