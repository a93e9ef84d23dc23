"""The sums of a convolution in half precision, made as kernels make them, one product after the other, at some places.

A processor adds up halves faster in all filters and places at once than a phone's kernel could be run here, and in the
same order: channel by channel, position by position. Products and partial sums are rounded each; a device that rounds
both at once errs a little less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from codegen.schedules.winograd_transforms import transform_filters, transform_input, transform_output
from models.graph.layer import Layer

#: of Winograd's tiles: outputs and inputs along an axis, in half precision
TILE_OUT, TILE_IN = 2, 4


@dataclass(frozen=True)
class Operands:
    """What a convolution is given.

    Attributes:
        layer: it.
        x: its input, (1, C, H, W).
        weight, bias: (out, in / groups, kh, kw) and (out,); no bias is zeros.
        addend: what its sums begin with besides the bias, (out, height, width), or None.
    """

    layer: Layer
    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    addend: torch.Tensor | None = None


def direct_error(operands: Operands, places: int, random: np.random.Generator) -> float:
    """How far half sums are from exact ones of the same halves, at most, at so many random pixels of all filters.

    Infinite where one overflows.
    """
    layer, weight, groups = operands.layer, operands.weight, operands.layer.groups
    _, height, width = layer.out_shape
    rows, columns = (torch.from_numpy(random.integers(0, extent, places)) for extent in (height, width))
    windows = _windows(operands, rows * layer.stride[0], columns * layer.stride[1], layer.kernel, layer.dilation)
    x = windows.half().reshape(places, groups, 1, -1)
    w = weight.half().reshape(1, groups, len(weight) // groups, -1)
    start = operands.bias[None, :].expand(places, -1)
    if operands.addend is not None:
        start = start + operands.addend[:, rows, columns].T
    start = start.half().reshape(places, groups, -1)
    sums = start.clone()
    for number in range(x.shape[-1]):
        sums += x[..., number] * w[..., number]
    exact = start.double() + (x.double() @ w.double().transpose(2, 3))[:, :, 0]
    return _furthest(sums, exact)


def winograd_error(operands: Operands, places: int, random: np.random.Generator) -> float:
    """As `direct_error`, of F(2 x 2, 3 x 3), at so many random tiles."""
    layer = operands.layer
    _, height, width = layer.out_shape
    tiles = [torch.from_numpy(random.integers(0, -(-extent // TILE_OUT), places)) for extent in (height, width)]
    rows, columns = (tile * TILE_OUT for tile in tiles)
    d = _windows(operands, rows, columns, (TILE_IN, TILE_IN), (1, 1)).half()
    v = _both_ways(transform_input, d).flatten(2)
    u = torch.from_numpy(transform_filters(operands.weight.numpy(), TILE_OUT)).half().permute(1, 2, 0)
    sums = torch.zeros(places, len(u), TILE_IN * TILE_IN, dtype=torch.float16)
    for channel in range(v.shape[1]):
        sums += v[:, None, channel] * u[None, :, channel]
    bias = operands.bias.half()
    outputs = _both_ways(transform_output, sums.unflatten(2, (TILE_IN, TILE_IN))) + bias[:, None, None]
    return _furthest(outputs, F.conv2d(d.double(), operands.weight.half().double(), bias.double()))


def _windows(
    operands: Operands, rows: torch.Tensor, columns: torch.Tensor, kernel: tuple[int, int], gap: tuple[int, int]
) -> torch.Tensor:
    """(places, C, *kernel): what a kernel with `gap` between its positions reads of the padded input from (row, column)
    of it on; zeros beyond."""
    down, along = operands.layer.padding
    padded = F.pad(operands.x, (along, along + TILE_IN, down, down + TILE_IN))[0]
    y, x = (
        start[:, None] + torch.arange(n) * step for start, n, step in zip((rows, columns), kernel, gap, strict=True)
    )
    return padded[:, y[:, :, None], x[:, None, :]].transpose(0, 1)


def _both_ways(transform: Callable[..., list], tensor: torch.Tensor) -> torch.Tensor:
    """A Winograd transform along the last axis but one, then along the last, each operation rounded."""
    for axis in (-2, -1):
        parts = transform(list(tensor.unbind(axis)), TILE_OUT, float, lambda value: value)
        tensor = torch.stack(parts, axis)
    return tensor


def _furthest(sums: torch.Tensor, exact: torch.Tensor) -> float:
    off = (sums.double() - exact).abs()
    return float(off.max()) if bool(off.isfinite().all()) else float("inf")
