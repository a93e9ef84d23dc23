"""ProductSums: the accumulators of a matrix product of transformed tiles, and how a GPU streams its operands."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.pointers import BYTES, Pointer
from codegen.kernels.sums import Sums
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from codegen.schedules.streaming.strip import ConstantStrip

#: distances of one load
DISTANCES = 4


class ProductSums:
    """`filters` x `vectors` accumulators that start from zero, of tiles from number `first` of a row of V on."""

    def __init__(self, frame, workload: Workload, vector: Vector, filters: int, vectors: int, first) -> None:
        self.frame, self.vector, self.filters, self.vectors, self.first = frame, vector, filters, vectors, first
        self.sums = Sums(frame.profile, workload, vector, filters * vectors)
        self.loaded = registers(vectors, self.sums.products.type, "loaded")
        self.factor = registers(1, self.sums.products.type, "factor")
        for at in range(filters * vectors):
            self.sums.start(at, self.sums.number(frame["zero"][0]))

    def __call__(self, row, weight) -> None:
        """Add a channel, whose tiles begin at `row` in V and whose weights at `weight`, by indices."""
        self.multiply(
            lambda v: self.vector.load(self.frame["v"], row + self.first + v * self.vector.lanes),
            (self.frame["weight"][weight + f] for f in range(self.filters)),
        )
        self.sums.settle()

    def multiply(self, load: Callable[[int], object], weights: Iterable) -> None:
        """Every accumulator gains its filter's weight times load(its vector)."""
        for v in range(self.vectors):
            put(self.loaded, v, self.sums.operand(load(v)))
        for f, weight in enumerate(weights):
            put(self.factor, 0, self.sums.splat(weight))
            for v in range(self.vectors):
                self.sums.add(f * self.vectors + v, self.loaded[v] * self.factor[0])

    def stream(self, row, weight) -> ProductStream:
        """The channels from those at `row` in V and `weight` on, by pointers."""
        return ProductStream(self, row + self.first, weight)


class ProductStream:
    """The channels of a product, one after the other.

    Args:
        product: whose accumulators gain them.
        row, weight: places of the first one's tiles in V, and of its weights.
    """

    def __init__(self, product: ProductSums, row, weight) -> None:
        self.product, self.row = product, row
        self.weights = Pointer.to(product.frame, "weight", weight)

    def add_rows(self, count: int, pitch: int, turn: int) -> None:
        """`count` channels whose rows of V lie `pitch` elements apart, `turn` in a turn of the loop."""
        rows = Pointer.to(self.product.frame, "v", self.row)

        def add(number: int) -> None:
            self._add(number, lambda channel: (rows, channel * pitch))
            rows.advance(number * pitch)

        self._loop(count, turn, add)

    def add_listed(self, first, count, turn: int) -> None:
        """`count` channels (a number, or an expression) by the distances of their rows, in bytes, in the constant
        "channels" from number `first` on."""
        frame = self.product.frame
        origin = Pointer.to(frame, "v", self.row, BYTES)
        distances = Pointer.to(frame, "channels", first)

        def add(number: int) -> None:
            strip = ConstantStrip(distances, number, DISTANCES)
            self._add(number, lambda channel: (origin.behind(strip[channel], self.product.vector.dtype), 0))
            distances.advance(number)

        self._loop(count, turn, add)

    def _add(self, number: int, row_of: Callable[[int], tuple[Pointer, int]]) -> None:
        """The next `number` channels; row_of(channel) is a pointer, and how far behind it the channel's row begins."""
        product = self.product
        strip = ConstantStrip(self.weights, number * product.filters, product.vector.lanes)
        for channel in range(number):
            rows, start = row_of(channel)

            def load(v: int, rows: Pointer = rows, start: int = start):
                return product.vector.load(rows, start + v * product.vector.lanes)

            product.multiply(load, (strip[channel * product.filters + f] for f in range(product.filters)))
        product.sums.settle()
        self.weights.advance(number * product.filters)

    @staticmethod
    def _loop(count, turn: int, add: Callable[[int], None]) -> None:
        """add(turn) in a loop, and what is left of `count`."""
        if isinstance(count, int):
            if count >= turn:
                with T.serial(0, count // turn):
                    add(turn)
            if count % turn:
                add(count % turn)
            return
        with T.serial(0, count // turn):
            add(turn)
        with T.serial(0, count % turn):
            add(1)
