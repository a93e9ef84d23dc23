"""One layer's least squares problem: what it reads in the pruned network, and what it answered in the dense one.

Samples are output positions drawn from calibration inputs; a column is an input channel at a kernel position. Layers of
several groups have one small problem per group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from models.graph.layer import Layer

Tensors = Sequence[torch.Tensor]


@dataclass(frozen=True, eq=False)
class Problem:
    """Find weights W, (filters, columns) of each group, for which inputs W' is near targets.

    Attributes:
        inputs: (groups, samples, columns); the last column is 1 where the layer has a bias.
        targets: (groups, samples, filters).
        old: (groups, filters, columns) float64, the weights before.
        rectified: a ReLU comes next, so of the negative only that they are negative matters.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    old: torch.Tensor
    rectified: bool

    @property
    def samples(self) -> int:
        return self.inputs.shape[1]

    def move_targets(self, weight: torch.Tensor) -> torch.Tensor:
        """The targets as they may be, given that `weight`, (groups, filters, columns), is near: see `rectified`.

        Where a target is negative any negative answer is right, and the answer itself is the nearest right one.
        """
        answers = self.inputs @ weight.transpose(1, 2).to(self.inputs.dtype)
        return torch.where(self.targets > 0, self.targets, answers.clamp(max=0))


def problem(
    layer: Layer,
    dense: Tensors,
    pruned: Tensors,
    weights: Mapping[str, torch.Tensor],
    samples: int,
    generator: torch.Generator,
    chances: torch.Tensor | None = None,
) -> Problem:
    """Draw a convolution's problem.

    Args:
        dense, pruned: its inputs, as Layer.inputs, in the dense and in the pruned network; each (N, C, H, W).
        weights: of the dense network, as in Graph.weights.
        samples: positions to draw, with replacement; all of them, once, where there are no more and `chances` is None.
        chances: (N, height, width) of the layer's result, how often each position is drawn, relatively; None:
            equally.
    """
    size = _out_size(layer, pruned[0])
    image, y, x = _draw(len(pruned[0]), *size, samples, generator, chances)
    inputs = _columns(layer, pruned[0], image, y, x)
    same = pruned[0] is dense[0]
    weight = weights[f"{layer.name}.weight"].flatten(1).unflatten(0, (layer.groups, -1))
    targets = (inputs if same else _columns(layer, dense[0], image, y, x)) @ weight.transpose(1, 2)
    old = weight.double()
    if layer.bias:
        bias = weights[f"{layer.name}.bias"].unflatten(0, (layer.groups, -1))
        targets += bias[:, None]
        inputs = torch.cat([inputs, torch.ones(*inputs.shape[:2], 1)], dim=2)
        old = torch.cat([old, bias.double()[:, :, None]], dim=2)
    steps, addend = list(layer.epilogue), layer.operands
    while steps and steps[0].kind == "add":  # a sum right after the layer: it makes up for its addend's error, too
        gap = (dense[addend] - pruned[addend]).expand(len(pruned[0]), -1, *size)[image, :, y, x]
        targets += gap.unflatten(1, (layer.groups, -1)).transpose(0, 1)
        steps, addend = steps[1:], addend + 1
    return Problem(inputs, targets, old, bool(steps) and steps[0].kind == "relu")


def _draw(
    count: int, height: int, width: int, samples: int, generator: torch.Generator, chances: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Indices of the image, the row and the column of each sample."""
    if chances is None and count * height * width <= samples:
        flat = torch.arange(count * height * width)
    elif chances is None:
        flat = torch.randint(count * height * width, (samples,), generator=generator)
    else:
        ends = chances.double().flatten().cumsum(0)
        flat = torch.searchsorted(ends, torch.rand(samples, generator=generator, dtype=torch.float64) * ends[-1])
        flat = flat.clamp(max=len(ends) - 1)
    return flat // (height * width), flat // width % height, flat % width


def _out_size(layer: Layer, x: torch.Tensor) -> tuple[int, int]:
    """Height and width of what the layer makes of (N, C, H, W)."""
    if layer.transposed:
        grown = (
            after + (size - before) * step
            for size, before, after, step in zip(
                x.shape[2:], layer.in_shapes[0][1:], layer.out_shape[1:], layer.stride, strict=True
            )
        )
        height, width = grown
        return height, width
    extents = zip(x.shape[2:], layer.padding, layer.dilation, layer.kernel, layer.stride, strict=True)
    height, width = ((size + 2 * pad - gap * (taps - 1) - 1) // step + 1 for size, pad, gap, taps, step in extents)
    return height, width


def _columns(layer: Layer, planes: torch.Tensor, image: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(groups, samples, columns): what the layer reads at output positions (y, x) of `planes`[image]."""
    if layer.transposed:
        return _transposed_columns(layer, planes, image, y, x)
    rows, columns = layer.padding
    padded = F.pad(planes, (columns, columns, rows, rows)) if rows or columns else planes
    taps = [
        padded[image, :, y * layer.stride[0] + ky * layer.dilation[0], x * layer.stride[1] + kx * layer.dilation[1]]
        for ky in range(layer.kernel[0])
        for kx in range(layer.kernel[1])
    ]
    read = torch.stack(taps, dim=2)  # (samples, channels, taps)
    return read.unflatten(1, (layer.groups, -1)).flatten(2).transpose(0, 1).contiguous()


def _transposed_columns(
    layer: Layer, planes: torch.Tensor, image: torch.Tensor, y: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    """As `_columns`, of a transposed convolution: positions of the kernel that are no part of a pixel's phase, or that
    lie beyond the input, are zeros."""
    axes = []
    for axis, position in enumerate((y, x)):
        reach = [position + layer.padding[axis] - tap * layer.dilation[axis] for tap in range(layer.kernel[axis])]
        extent, stride = planes.shape[2 + axis], layer.stride[axis]
        inside = [(at % stride == 0) & (at >= 0) & (at < extent * stride) for at in reach]
        pixels = [at.div(stride, rounding_mode="floor").clamp(0, extent - 1) for at in reach]
        axes.append(list(zip(pixels, inside, strict=True)))
    taps = [
        planes[image, :, row, column] * (row_ok & column_ok)[:, None]
        for row, row_ok in axes[0]
        for column, column_ok in axes[1]
    ]
    read = torch.stack(taps, dim=2)
    return read.unflatten(1, (layer.groups, -1)).flatten(2).transpose(0, 1).contiguous()
