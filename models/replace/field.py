"""How much of its input one cell of a tensor sees; torch-free. `models.graph.receptive` does it for a Graph, with
positions.

The theoretical receptive field: the extent, in input pixels, of all inputs an output can depend on (Araujo et al.
2019, "Computing receptive fields of convolutional neural networks", eq. 2), which counts padding as input.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

Axes = tuple[int, int]


@dataclass(frozen=True)
class ReceptiveField:
    """What one cell of a tensor sees.

    Attributes:
        size: (height, width) in input pixels; None means the whole input, whatever its size (after a global pool).
        step: input pixels between neighbouring cells, per axis.
    """

    size: Axes | None = (1, 1)
    step: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))

    def windowed(self, kernel: Axes, stride: Axes = (1, 1), dilation: Axes = (1, 1)) -> ReceptiveField:
        """What a cell sees after a convolution or pool with these windows."""
        step = (self.step[0] * stride[0], self.step[1] * stride[1])
        if self.size is None:
            return ReceptiveField(None, step)
        grown = [
            size + ceil(rate * (taps - 1) * pitch)
            for size, taps, rate, pitch in zip(self.size, kernel, dilation, self.step, strict=True)
        ]
        return ReceptiveField((grown[0], grown[1]), step)

    def resized(self, before: Axes, after: Axes, bilinear: bool = False) -> ReceptiveField:
        """What a cell sees after resizing from (height, width) `before` to `after`; bilinear reads 2x2 cells."""
        field = self.windowed((2, 2)) if bilinear else self
        step = (field.step[0] * Fraction(before[0], after[0]), field.step[1] * Fraction(before[1], after[1]))
        return ReceptiveField(field.size, step)

    def pooled_whole(self) -> ReceptiveField:
        """What the one cell of a global pool sees: everything."""
        return ReceptiveField(None, self.step)

    def __str__(self) -> str:
        return "whole input" if self.size is None else "x".join(map(str, self.size))


def joined(fields: Iterable[ReceptiveField]) -> ReceptiveField:
    """What a cell of a sum or concatenation sees: the largest, per axis (the branches' windows are concentric)."""
    branches = list(fields)
    sizes = [field.size for field in branches if field.size is not None]
    step = max((field.step for field in branches), default=(Fraction(1), Fraction(1)))
    if len(sizes) < len(branches):
        return ReceptiveField(None, step)
    return ReceptiveField((max(size[0] for size in sizes), max(size[1] for size in sizes)), step)
