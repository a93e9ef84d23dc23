"""Reduction: what a layer of op "normalise", "softmax" or "reduce" combines elements over, and how; torch-free.

The three ops differ in what they do with the statistics of the elements that are combined:

    normalise  every element is shifted and scaled by them, then by a weight and a bias where there are some
    softmax    exp(x) over the sum of exp, computed without overflow
    reduce     they are the result, in a map whose combined axes have extent 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

#: per op, the kinds of Reduction it has. Over the elements x that are combined, m their mean, v their variance:
KINDS: dict[str, tuple[str, ...]] = {
    # (x - m) / sqrt(v + eps); x / sqrt(mean of x^2 + eps); x / max(sum of |x|, eps); x / max(sqrt(sum of x^2), eps)
    "normalise": ("variance", "rms", "l1", "l2"),
    # exp(x) / sum of exp(x), and its logarithm
    "softmax": ("softmax", "log_softmax"),
    "reduce": ("sum", "mean", "max", "min", "l1", "l2", "variance", "deviation"),
}
AXES = "CHW"


@dataclass(frozen=True)
class Reduction:
    """Which elements of a (C, H, W) map are combined with each other, and into what.

    Attributes:
        kind: one of KINDS of the layer's op.
        axes: the axes that are combined, in the order C, H, W: "C", "HW", "CHW", ...
        groups: where "C" is among the axes, only channels of one of so many equal, contiguous groups are combined.
            "reduce" has one group.
        eps: what keeps a quotient finite, see KINDS; 0 for the kinds that have none.
        affine: the axes along which the weight and the bias of a "normalise" vary, "C" mostly; "" where it has none.
        correction: taken off the number of elements where a variance is divided by it (of "reduce").
    """

    kind: str
    axes: str
    groups: int = 1
    eps: float = 0.0
    affine: str = ""
    correction: float = 0.0

    def __post_init__(self) -> None:
        for axes in (self.axes, self.affine):
            if axes != "".join(axis for axis in AXES if axis in axes):
                raise ValueError(f"axes {axes!r} are not some of C, H, W in this order")
        if not self.axes:
            raise ValueError("a reduction over no axis")
        if self.groups != 1 and "C" not in self.axes:
            raise ValueError(f"{self.groups} groups of channels, but axes {self.axes} have no C")

    def count(self, shape: Sequence[int]) -> int:
        """How many elements of a (C, H, W) map are combined into one statistic."""
        return prod(extent for axis, extent in zip(AXES, shape, strict=True) if axis in self.axes) // self.groups

    def reduced(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """The shape of the statistics of a (C, H, W) map, which is what "reduce" makes; groups of channels count on."""
        channels, height, width = (1 if axis in self.axes else extent for axis, extent in zip(AXES, shape, strict=True))
        return (self.groups if "C" in self.axes else channels, height, width)

    def affine_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """The shape of a weight or bias for a (C, H, W) map: 1 along the axes on which it does not depend."""
        channels, height, width = (
            extent if axis in self.affine else 1 for axis, extent in zip(AXES, shape, strict=True)
        )
        return (channels, height, width)

    def __str__(self) -> str:
        return f"{self.kind}_{self.axes}" + (f"_g{self.groups}" if self.groups > 1 else "")
