"""What depth determination may vary in a family, and what that costs in closed form; torch-free.

A family is a backbone of stages. Its depths are blocks per stage, its widths the channels that shrink: a bottleneck's
3x3 in "resnet", a stage's outputs in "efficientnet". The cost is of what depends on them; `models.depth` adds the rest
from a count of the real base network. Tests hold the sum equal to the count of the real candidate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fleetpose.errors import unknown_name

Numbers = tuple[int, ...]


class DepthCost(NamedTuple):
    """Convolutions, and what they come to: the fields of models.zoo.count.Count by the same names."""

    convs: int
    macs: int
    macs_bn: int
    params: int

    def plus(self, other: DepthCost, times: int = 1) -> DepthCost:
        return DepthCost(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


NOTHING = DepthCost(0, 0, 0, 0)


@dataclass(frozen=True)
class DepthFamily:
    """One family.

    Attributes:
        model: the registered network whose depths and widths are the full ones; it gives all other parameters.
        depths, widths: of that network, one of each per stage.
        totals: numbers of blocks to try, unless the user names some.
        cost: (depths, widths, input (height, width)) -> what depends on depths and widths.
    """

    model: str
    depths: Numbers
    widths: Numbers
    totals: Numbers
    cost: Callable[[Numbers, Numbers, tuple[int, int]], DepthCost]


def _cells(size: tuple[int, int], stride: int) -> int:
    """Cells of a map at a stride, in a network that halves with "same" padding."""
    return -(-size[0] // stride) * -(-size[1] // stride)


def _conv(inputs: int, outputs: int, cells: int, kernel: int = 1, groups: int = 1) -> DepthCost:
    """A convolution with batch norm and no bias; `cells` of its output."""
    weights = inputs // groups * outputs * kernel**2
    return DepthCost(1, weights * cells, (weights + 2 * outputs) * cells, weights + 2 * outputs)


def _resnet_cost(depths: Numbers, widths: Numbers, size: tuple[int, int]) -> DepthCost:
    total, inputs = NOTHING, 64
    for index, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        outputs, before, after = 256 << index, _cells(size, 4 << max(index - 1, 0)), _cells(size, 4 << index)
        tail = _conv(width, width, after, 3).plus(_conv(width, outputs, after))
        first = _conv(inputs, width, before).plus(tail).plus(_conv(inputs, outputs, after))
        total = total.plus(first).plus(_conv(outputs, width, after).plus(tail), depth - 1)
        inputs = outputs
    return total


#: (expansion, kernel, stride of its first block, total stride after it) of B3's stages in models.networks.efficientnet
_B3 = ((1, 3, 1, 2), (6, 3, 1, 2), (6, 5, 2, 4), (6, 3, 2, 8))


def _inverted_residual(inputs: int, outputs: int, expansion: int, kernel: int, before: int, after: int) -> DepthCost:
    width = inputs * expansion
    cost = _conv(width, width, after, kernel, groups=width).plus(_conv(width, outputs, after))
    return cost.plus(_conv(inputs, width, before)) if expansion > 1 else cost


def _efficientnet_cost(depths: Numbers, widths: Numbers, size: tuple[int, int]) -> DepthCost:
    total, inputs = NOTHING, 40
    for (expansion, kernel, step, stride), depth, outputs in zip(_B3, depths, widths, strict=True):
        before, after = _cells(size, stride // step), _cells(size, stride)
        total = total.plus(_inverted_residual(inputs, outputs, expansion, kernel, before, after))
        total = total.plus(_inverted_residual(outputs, outputs, expansion, kernel, after, after), depth - 1)
        inputs = outputs
    neck = 9 * inputs * 256  # the neck's first 3x3; its bias does not depend on the widths
    return total.plus(DepthCost(0, neck * _cells(size, 8), neck * _cells(size, 8), neck))


FAMILIES = {
    "resnet": DepthFamily("resnet50", (3, 4), (64, 128), (7, 11, 15, 19, 23, 31, 39, 48), _resnet_cost),
    "efficientnet": DepthFamily(
        "efficientnet", (2, 3, 3, 5), (24, 32, 48, 96), (13, 16, 20, 26, 32, 40), _efficientnet_cost
    ),
}


def depth_family(name: str) -> DepthFamily:
    """The family of that name. Raises UsageError, with "did you mean", for an unknown one."""
    if name not in FAMILIES:
        raise unknown_name("family", name, FAMILIES)
    return FAMILIES[name]
