"""The input sizes that a network takes: multiples of so many pixels, or one size only."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

from fleetpose.errors import UsageError
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

Size = tuple[int, int]

#: no network is tried for larger multiples than this
_LARGEST = 128


def check_input_size(spec: ModelSpec, size: Size) -> None:
    """Raises UsageError for an input (height, width) that a network cannot take, or whose last cells are half empty.

    In those keypoints would shift.
    """
    check_only_size(spec, size)
    step = spec.side_step
    if size[0] % step or size[1] % step:
        near = "x".join(str(-(-side // step) * step) for side in size)
        raise UsageError(f"input size {size[0]}x{size[1]}: {spec.name} wants multiples of {step}, such as {near}")


def check_only_size(spec: ModelSpec, size: Size) -> None:
    """Raises UsageError for another input (height, width) than the only one that a network takes."""
    if spec.fixed_size and size != spec.size:
        exported = "dynamic_shapes of torch.export.export allow more"
        mend = exported if spec.name.endswith(".pt2") else "another size needs a network that is made for it"
        only = f"{spec.name} takes {spec.size[0]}x{spec.size[1]} only"
        raise UsageError(f"input size {size[0]}x{size[1]}: {only}; {mend}")


def with_sides(spec: ModelSpec, network: nn.Module) -> ModelSpec:
    """`spec` with the sizes that `network` takes, where nothing is said of them."""
    if spec.fixed_size or spec.multiple != 1:
        return spec
    multiple, fixed = sides_taken(network, spec.size, spec.channels, spec.stride)
    return replace(spec, multiple=multiple, fixed_size=fixed)


def sides_taken(network: nn.Module, size: Size, channels: int, stride: int) -> tuple[int, bool]:
    """What sides of inputs have to be multiples of, and whether a network takes no other size than `size`.

    It is run on tensors without numbers, at sides that are odd multiples of `stride`, of 2 x `stride` and so on: one
    whose features of different resolution meet (HRNet, U-Net, YOLO) takes only multiples of its coarsest stride.

    Args:
        network: takes (1, channels, *size).
        stride: input pixels per output cell.
    """
    from models.frontend.results.failing import runs_without_numbers

    if not runs_without_numbers(network, (channels, *size)):
        return stride, False  # what it does depends on numbers

    def takes(multiple: int) -> bool:
        return runs_without_numbers(network, (channels, *(_odd_multiple(side, multiple) for side in size)))

    if takes(stride):
        return stride, False
    multiples = [stride << power for power in range(1, _LARGEST.bit_length()) if stride << power <= _LARGEST]
    least = bisect_left(multiples, True, key=takes)  # what takes the multiples of one takes those of the next, too
    if least < len(multiples):
        return multiples[least], False
    return stride, not runs_without_numbers(network, (channels, 2 * size[0], 2 * size[1]))


def _odd_multiple(side: int, multiple: int) -> int:
    """An odd multiple that is another one than `side`, and no smaller."""
    count = -(-side // multiple) | 1
    return (count + 2 if count * multiple == side else count) * multiple
