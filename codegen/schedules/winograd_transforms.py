"""Winograd's minimal filtering F(m x m, 3 x 3): the transforms of input, filters and output, as numbers and as TIR.

Y = A' [ (G g G') * (B' d B) ] A, with the matrices of Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks"
(2016), sections 4.1 (m = 2) and 4.3 (m = 4). An n x n input tile, n = m + 2, gives m x m outputs; neighbouring tiles
overlap by two. Lanes of a vector are neighbouring tiles of one row of tiles, so a tile's column j is every m-th element
of an image row from j on, taken apart by `phases`.
"""

from __future__ import annotations

import numpy as np

from codegen.builder import put, registers
from codegen.vectors import Vector

#: G, by m: transforms a filter's three taps
FILTER = {
    2: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    4: np.array(
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ]
    ),
}


def transform_filters(weight: np.ndarray, m: int) -> np.ndarray:
    """(out, in, 3, 3) -> float64 (n * n, out, in): G g G' of every filter."""
    g = FILTER[m]
    return np.einsum("ai,ocij,bj->aboc", g, weight.astype(np.float64), g).reshape(-1, *weight.shape[:2])


def input_1d(d: list, m: int, number) -> list:
    """B' d: n expressions of the n values of one tile row or column; `number` makes a constant of their type."""
    if m == 2:
        return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
    two, four, five = number(2), number(4), number(5)
    even, odd = d[4] - four * d[2], d[3] - four * d[1]
    even2, odd2 = d[4] - d[2], two * (d[3] - d[1])
    return [
        four * d[0] - five * d[2] + d[4],
        even + odd,
        even - odd,
        even2 + odd2,
        even2 - odd2,
        four * d[1] - five * d[3] + d[5],
    ]


def output_1d(t: list, m: int, number) -> list:
    """A' t: m expressions of n transformed values."""
    if m == 2:
        return [t[0] + t[1] + t[2], t[1] - t[2] - t[3]]
    plus, minus = t[1] + t[2], t[1] - t[2]
    plus2, minus2 = t[3] + t[4], t[3] - t[4]
    return [
        t[0] + plus + plus2,
        minus + number(2) * minus2,
        plus + number(4) * plus2,
        minus + number(8) * minus2 + t[5],
    ]


def phases(loads: list, wanted: int, vector: Vector, temporary) -> list:
    """Every m-th element of m vectors on end (m = len(loads), a power of two), from 0, 1, ... `wanted` - 1 on.

    `temporary` keeps an expression in a register and gives it back.
    """
    if len(loads) == 1:
        return loads
    pairs = list(zip(loads[::2], loads[1::2], strict=True))
    halves = [[temporary(vector.deinterleaved(low, high, odd)) for low, high in pairs] for odd in (0, 1)]
    split = [phases(half, -(-(wanted - odd) // 2), vector, temporary) for odd, half in enumerate(halves)]
    return [split[phase % 2][phase // 2] for phase in range(wanted)]


def spread(values: list, vector: Vector, temporary) -> list:
    """The inverse of `phases`: m vectors, each every m-th element, -> m vectors on end."""
    if len(values) == 1:
        return values
    even, odd = spread(values[::2], vector, temporary), spread(values[1::2], vector, temporary)
    return [temporary(half) for low, high in zip(even, odd, strict=True) for half in vector.interleaved(low, high)]


class Registers:
    """Private vectors given out one after the other, so that an expression used twice is computed once."""

    def __init__(self, count: int, vector: Vector, name: str) -> None:
        self.buffer, self.used = registers(count, vector.type, name), 0

    def keep(self, value):
        """`value`, in a register of its own."""
        put(self.buffer, self.used, value)
        self.used += 1
        return self.buffer[self.used - 1]
