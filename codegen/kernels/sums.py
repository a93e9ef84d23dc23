"""Sums: the accumulators of a work-item, and the types of products and sums.

In half precision a layer's sums may be float32 (`Workload.widened`). Then the few products of a turn of a loop are
added up in half, and what they come to is added to float32 sums, so that most arithmetic runs at half's rate. Where
products, or a few of them, may leave half's range, operands become float32 when they are loaded, and all runs at
float32's rate. Results are rounded once, when they are stored.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.vectors import Vector
from codegen.kernels.workload import Workload
from devices.profile import Profile

#: products that are added up in half before float32 sums gain them, where a loop's turn may have as many as it likes
PRODUCTS_OF_TURN = 8


class Sums:
    """`count` vectors of sums.

    Wider ones begin with zero, and gain what they start from at the end: a compiler that sees nothing between the last
    product and the rounding of the result, as Mesa's, otherwise rounds at every turn of the loop.

    Args:
        profile: of the device.
        workload: whose types of products and sums these are.
        stored: the vector type of operands and results.
        count: how many vectors.
        name: of the registers.

    Attributes:
        vector: the type of a sum.
        products: the type of a product.
        held: the registers.
    """

    def __init__(self, profile: Profile, workload: Workload, stored: Vector, count: int, name: str = "sums") -> None:
        self.stored = stored
        self.vector = Vector.on(profile, stored.lanes, workload.sum_dtype)
        self.products = Vector.on(profile, stored.lanes, workload.product_dtype)
        self.held = registers(count, self.vector.type, name)
        #: the products of this turn, where they are narrower than sums, and which of them there are already
        self._turn = None if self.products == self.vector else registers(count, self.products.type, f"{name}_of_turn")
        self._begun: dict[int, None] = {}
        self._late: dict[int, object] = {}

    def operand(self, value):
        """A loaded vector as a factor."""
        return self.products.convert(value, self.stored.dtype)

    def splat(self, weight):
        """A loaded number as a factor."""
        return self._splat(self.products, weight)

    def number(self, value):
        """A sum equal to a loaded number in all lanes."""
        return self._splat(self.vector, value)

    def _splat(self, vector: Vector, value):
        return vector.splat(value if vector.dtype == self.stored.dtype else T.Cast(vector.dtype, value))

    def start(self, at: int, value) -> None:
        """Sum `at` begins with `value`."""
        if self.vector.dtype == self.stored.dtype:
            put(self.held, at, value)
            return
        put(self.held, at, self.vector.splat(0))
        self._late[at] = value

    def add(self, at: int, product) -> None:
        """Sum `at` gains a product."""
        if self._turn is None:
            put(self.held, at, self.held[at] + product)
            return
        put(self._turn, at, self._turn[at] + product if at in self._begun else product)
        self._begun[at] = None

    def settle(self) -> None:
        """To be called at the end of every turn of a loop that adds products, and where no loop is, after them."""
        for at in self._begun:
            assert self._turn is not None
            put(self.held, at, self.held[at] + self.vector.convert(self._turn[at], self.products.dtype))
        self._begun.clear()

    def finish(self) -> None:
        """All products are added."""
        for at, value in self._late.items():
            put(self.held, at, self.held[at] + value)
        self._late.clear()
