"""Product: a batch of matrix products as loops over planes, what a layer of op "matmul" computes; torch-free.

    result[b, m, n] = scale x sum over k of left[b, m, k] x right[b, k, n]

Where an element of a matrix lies in its (C, H, W) tensor is a `Walk`: a place that moves by a fixed step with each
loop. So heads, windows, transposed and sliced operands are read where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np

#: (channel, row, column) in a (C, H, W) tensor, or a difference of two such
Spot = tuple[int, int, int]


@dataclass(frozen=True)
class Walk:
    """Where the elements lie that a product's loops come to: at `first` plus each loop's number times its step.

    Attributes:
        steps: of each loop, in the order of Product.extents; zero for a loop that the matrix does not have.
    """

    first: Spot
    steps: tuple[Spot, ...]

    def indices(self, extents: Sequence[int], shape: Spot, loops: Sequence[int]) -> np.ndarray:
        """The flat numbers, in a tensor of `shape`, of the elements that `loops` come to: int64, an axis for each."""
        _, height, width = shape

        def flat(spot: Spot) -> int:
            return (spot[0] * height + spot[1]) * width + spot[2]

        terms = [np.arange(extents[loop], dtype=np.int64) * flat(self.steps[loop]) for loop in loops]
        return reduce(lambda outer, inner: outer[..., None] + inner, terms, np.array(flat(self.first), np.int64))


@dataclass(frozen=True)
class Product:
    """The loops of a batch of matrix products.

    Attributes:
        extents: of the loops: those of the batch, then rows of the result (m), columns of the result (n), depth (k).
        left, right: where the operands' elements lie; `left` has no step along n, `right` none along m.
        out: where the result lies: m goes from channel to channel, n along the row, batches along channels or rows,
            so that every element of the output is met once.
        scale: factor of every element of the result.
    """

    extents: tuple[int, ...]
    left: Walk
    right: Walk
    out: Walk
    scale: float = 1.0

    def __post_init__(self) -> None:
        loops = len(self.extents)
        if loops < 3 or any(len(walk.steps) != loops for walk in (self.left, self.right, self.out)):
            raise ValueError(f"a product of {loops} loops, but its walks have {[len(self.left.steps)]} steps")
        if self.left.steps[-2] != (0, 0, 0) or self.right.steps[-3] != (0, 0, 0):
            raise ValueError("the left operand moves along columns of the result, or the right one along its rows")
        if (self.out.steps[-3], self.out.steps[-2], self.out.steps[-1]) != ((1, 0, 0), (0, 0, 1), (0, 0, 0)):
            raise ValueError("rows of a product's result are channels, and its columns lie along a row")

    @property
    def batch(self) -> tuple[int, ...]:
        """Extents of the loops over the batch."""
        return self.extents[:-3]

    @property
    def rows(self) -> int:
        return self.extents[-3]

    @property
    def columns(self) -> int:
        return self.extents[-2]

    @property
    def depth(self) -> int:
        """Multiply-adds for each element of the result."""
        return self.extents[-1]

    @property
    def macs(self) -> int:
        return prod(self.extents)

    def __str__(self) -> str:
        batch = f"b{prod(self.batch)}_" if self.batch else ""
        return f"{batch}{self.rows}x{self.depth}x{self.columns}"


def channel_batches(extents: Sequence[int], rows: Sequence[bool]) -> tuple[Walk, Spot]:
    """Where the result of a product of `extents` lies, and its shape.

    Args:
        rows: for each loop over the batch, whether it goes along rows rather than channels.
    """
    *batch, m, n, _ = extents
    steps: list[Spot] = []
    channels, height = m, 1
    for extent, along_rows in zip(reversed(batch), reversed(rows), strict=True):
        steps.insert(0, (0, height, 0) if along_rows else (channels, 0, 0))
        channels, height = (channels, height * extent) if along_rows else (channels * extent, height)
    return Walk((0, 0, 0), (*steps, (1, 0, 0), (0, 0, 1), (0, 0, 0))), (channels, height, n)
