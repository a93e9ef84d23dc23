"""Transposed convolutions: which input pixels each phase of the output reads, and their execution in float64.

With stride s, padding p and dilation d, output position r of an axis is the sum over the kernel's taps k of weight[k] x
input[(r + p - k d) / s], where that is a whole number. So only every s-th output position, a phase, reads the same
taps, and each phase is a small convolution of stride 1: position s i + q reads input[i + shift] for every tap of
phase q.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from models.graph.layer import Layer


def phase_taps(layer: Layer, axis: int, phase: int) -> list[tuple[int, int]]:
    """(tap, shift) pairs of one phase: output position stride x i + phase reads input position i + shift.

    Args:
        layer: a transposed "conv".
        axis: 0 for rows, 1 for columns.
        phase: below the stride.
    """
    stride, dilation, padding = layer.stride[axis], layer.dilation[axis], layer.padding[axis]
    reach = [(tap, phase + padding - tap * dilation) for tap in range(layer.kernel[axis])]
    return [(tap, at // stride) for tap, at in reach if at % stride == 0]


def beyond_input(layer: Layer, axis: int) -> tuple[int, int]:
    """Positions that a transposed convolution reads before the first and behind the last one of its input, as zeros."""
    stride, dilation, padding = layer.stride[axis], layer.dilation[axis], layer.padding[axis]
    before = -((padding - (layer.kernel[axis] - 1) * dilation) // stride)
    behind = (layer.out_shape[1 + axis] - 1 + padding) // stride - (layer.in_shapes[0][1 + axis] - 1)
    return max(before, 0), max(behind, 0)


def swap_channels(weight: Any, groups: int) -> Any:
    """A weight as Graph holds it, (out, in / groups, kh, kw), in torch's order for transposed convolutions, (in, out /
    groups, kh, kw); and the other way round, because swapping twice answers the same weight. An array or a tensor."""
    out, channels, height, width = weight.shape
    split = weight.reshape(groups, out // groups, channels, height, width)
    return split.swapaxes(1, 2).reshape(groups * channels, out // groups, height, width)


def run_transposed(layer: Layer, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A transposed "conv" and its bias, without its epilogue; `weight` as Graph holds it."""
    own = swap_channels(weight, layer.groups).contiguous()
    rows, columns = layer.padding
    # cropped here rather than by torch, which refuses output paddings as large as its stride and dilation
    whole = F.conv_transpose2d(x, own, bias, layer.stride, 0, 0, layer.groups, layer.dilation)
    height, width = layer.out_shape[1:]
    below, right = rows + height - whole.shape[2], columns + width - whole.shape[3]
    if below > 0 or right > 0:  # output padding: rows and columns that no tap reaches hold the bias
        bottom = torch.zeros(len(x), whole.shape[1], max(below, 0), whole.shape[3], dtype=x.dtype)
        whole = torch.cat([whole, bottom if bias is None else bottom + bias[:, None, None]], 2)
        side = torch.zeros(len(x), whole.shape[1], whole.shape[2], max(right, 0), dtype=x.dtype)
        whole = torch.cat([whole, side if bias is None else side + bias[:, None, None]], 3)
    return whole[:, :, rows : rows + height, columns : columns + width]
