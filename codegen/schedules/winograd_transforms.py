"""Winograd's minimal filtering F(m x m, 3 x 3): the transforms of input, filters and output, as numbers and as TIR.

Y = A' [ (G g G') * (B' d B) ] A, with the matrices of Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks"
(2016), sections 4.1 (m = 2) and 4.3 (m = 4). An n x n input tile, n = m + 2, gives m x m outputs; neighbouring tiles
overlap by two.

Lanes of a vector are neighbouring tiles along an image row, so that column j of all of them is every m-th element of
the row from j on. `take_apart` and `put_together` go between such columns and plain pieces of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm.tirx.script import builder as T

from codegen.kernels.builder import put, registers
from codegen.kernels.vectors import Vector

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

#: the constants with the rows of B' and of A'
INPUT_ROWS, OUTPUT_ROWS = "input_rows", "output_rows"
#: keeps an expression in a register and gives it back
Keep = Callable[[object], Any]


def transform_filters(weight: np.ndarray, m: int) -> np.ndarray:
    """(out, in, 3, 3) -> float64 (n * n, out, in): G g G' of every kernel."""
    g = FILTER[m]
    return np.einsum("ai,ocij,bj->aboc", g, weight.astype(np.float64), g).reshape(-1, *weight.shape[:2])


def transform_input(d: Sequence, m: int, number, keep: Keep) -> list:
    """B' d: the n values of a tile's row or column, transformed.

    Args:
        d: n expressions, cheap to repeat.
        m: 2 or 4.
        number: makes a constant of their type.
    """
    if m == 2:
        return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
    four, five = number(4), number(5)
    even, odd = keep(d[4] - four * d[2]), keep(d[3] - four * d[1])
    even2, odd2 = keep(d[4] - d[2]), keep(d[3] - d[1])
    return [
        four * d[0] + (d[4] - five * d[2]),
        even + odd,
        even - odd,
        even2 + number(2) * odd2,
        even2 - number(2) * odd2,
        four * d[1] + (d[5] - five * d[3]),
    ]


def transform_output(t: Sequence, m: int, number, keep: Keep) -> list:
    """A' t: the m outputs of n transformed values along a row or column; arguments as for `transform_input`."""
    if m == 2:
        plus, minus = keep(t[1] + t[2]), keep(t[1] - t[2])
        return [t[0] + plus, minus - t[3]]
    plus, minus = keep(t[1] + t[2]), keep(t[1] - t[2])
    plus2, minus2 = keep(t[3] + t[4]), keep(t[3] - t[4])
    return [
        t[0] + plus + plus2,
        minus + number(2) * minus2,
        plus + number(4) * plus2,
        minus + number(8) * minus2 + t[5],
    ]


def row_weights(m: int) -> dict[str, np.ndarray]:
    """The constants that `add_rows` reads: of every row of B' and of A' its n numbers, flat."""
    units = [*np.eye(m + 2)]
    results = {INPUT_ROWS: transform_input, OUTPUT_ROWS: transform_output}
    return {
        name: np.array(transform(units, m, float, lambda value: value), np.float32).ravel()
        for name, transform in results.items()
    }


def add_rows(frame, vector: Vector, name: str, row, extents: tuple[int, int], load: Callable[[Any, int], Any]):
    """Row `row` of B' d or A' t, `row` an expression, as registers: of (rows, columns) values load(row, column) each
    column is a sum over the rows, weighted by the constant `name`.

    The loop over rows stays one in the kernel: unrolled, compilers load all of them first, and spill.
    """
    rows, columns = extents
    sums, factor = registers(columns, vector.type, "line"), registers(1, vector.type, "factor")
    for column in range(columns):
        put(sums, column, vector.splat(0))
    with T.serial(0, rows) as number:
        put(factor, 0, vector.splat(frame[name][row * rows + number]))
        for column in range(columns):
            put(sums, column, sums[column] + load(number, column) * factor[0])
    return sums


def take_apart(vectors: Sequence, vector: Vector, keep: Keep) -> list:
    """m vectors on end -> m vectors, the j-th of every m-th element from j on; m is a power of two."""
    if len(vectors) == 1:
        return [*vectors]
    lanes, pairs = vector.lanes, list(zip(vectors[::2], vectors[1::2], strict=True))
    even, odd = (
        take_apart([keep(vector.shuffle(*pair, range(first, 2 * lanes, 2))) for pair in pairs], vector, keep)
        for first in (0, 1)
    )
    return [value for both in zip(even, odd, strict=True) for value in both]


def put_together(vectors: Sequence, vector: Vector, keep: Keep) -> list:
    """The inverse of `take_apart`."""
    if len(vectors) == 1:
        return [*vectors]
    even, odd = (put_together(vectors[first::2], vector, keep) for first in (0, 1))
    return [keep(half) for pair in zip(even, odd, strict=True) for half in vector.interleave(*pair)]


class Registers:
    """Private vectors given out one after the other, so that an expression used twice is computed once."""

    def __init__(self, count: int, vector: Vector, name: str) -> None:
        self.buffer, self.used = registers(count, vector.type, name), 0

    def keep(self, value):
        """`value`, in a register of its own."""
        put(self.buffer, self.used, value)
        self.used += 1
        return self.buffer[self.used - 1]
