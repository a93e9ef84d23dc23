"""A convolution by its sizes, checked; the padding is what the sizes say, as tables have it."""

from __future__ import annotations

from collections.abc import Sequence

from fleetpose.errors import DataError
from latency.dataset.rows import LARGEST_NUMBER
from latency.dataset.tables import MOST_MACS
from models.graph.layer import Layer

Pair = tuple[int, int]


def convolution(
    channels: int,
    size: Pair,
    filters: int,
    out_size: Pair,
    kernel: Pair,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Layer:
    """The layer, without names; where padding is not the same on both sides it is taken to be its mean, rounded up.

    Args:
        size, out_size: rows and columns of input and output.

    Raises:
        DataError: sizes that are no convolution's, or so many multiply-adds that no layer has them.
    """
    numbers = (channels, filters, groups, *size, *out_size, *kernel, *stride, *dilation)
    wrong = next((number for number in numbers if not 0 < number <= LARGEST_NUMBER), None)
    if wrong is not None:
        raise DataError(f"{wrong} is no size of a convolution; sizes are 1 to {LARGEST_NUMBER}")
    if channels % groups or filters % groups:
        raise DataError(f"{groups} groups do not divide {channels} and {filters} channels")
    missing = [
        max(0, (out - 1) * step + reach(extent, apart) - of)
        for out, step, extent, apart, of in zip(out_size, stride, kernel, dilation, size, strict=True)
    ]
    padding = ((missing[0] + 1) // 2, (missing[1] + 1) // 2)
    try:
        layer = Layer(
            "", "conv", ("",), ((channels, *size),), (filters, *out_size), kernel=kernel, stride=stride,
            dilation=dilation, padding=padding, groups=groups,
        )  # fmt: skip
    except ValueError as error:
        raise DataError(str(error)) from error
    if layer.macs > MOST_MACS:
        raise DataError(f"a layer of {float(layer.macs):.0e} multiply-adds; is a size in another unit?")
    return layer


def reach(kernel: int, dilation: int) -> int:
    """How many input positions along an axis a kernel spans."""
    return dilation * (kernel - 1) + 1


def out_extent(size: int, kernel: int, stride: int, dilation: int, pads: Sequence[int]) -> int:
    """Positions of the output along an axis; `pads` before and after. Raises DataError where there is none."""
    if stride < 1:
        raise DataError(f"a stride of {stride}")
    room = size + sum(pads) - reach(kernel, dilation)
    if room < 0:
        raise DataError(f"a kernel of {kernel}, dilated by {dilation}, does not fit into {size} positions")
    return room // stride + 1
