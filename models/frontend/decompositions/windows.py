"""Windows as tensors, and back: unfold as slices, fold as a transposed convolution, flat convolutions of three axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

_aten: Any = torch.ops.aten


def _im2col(
    x: torch.Tensor, kernel_size: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> torch.Tensor:
    """F.unfold: (N, C, H, W) to (N, C x kernel positions, windows)."""
    rows, columns = padding
    x = F.pad(x, (columns, columns, rows, rows)) if rows or columns else x
    batch, channels, *sides = x.shape
    counts = []
    for axis, side in enumerate(sides):
        reach = dilation[axis] * (kernel_size[axis] - 1)
        counts.append((side - reach - 1) // stride[axis] + 1)
        taps = torch.arange(kernel_size[axis], device=x.device) * dilation[axis]
        windows = torch.arange(counts[axis], device=x.device) * stride[axis]
        x = x.index_select(2 + axis, (taps[:, None] + windows).reshape(-1))
    split = x.reshape(batch, channels, kernel_size[0], counts[0], kernel_size[1], counts[1])
    return split.permute(0, 1, 2, 4, 3, 5).reshape(batch, -1, counts[0] * counts[1])


def _col2im(
    x: torch.Tensor,
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> torch.Tensor:
    """F.fold: a transposed convolution, each of whose input channels is put at one position of the window."""
    if x.ndim != 3:
        return NotImplemented
    positions = kernel_size[0] * kernel_size[1]
    channels = x.shape[1] // positions
    counts, more = [], []
    for side, taps, step, margin, pace in zip(output_size, kernel_size, dilation, padding, stride, strict=True):
        room = side + 2 * margin - step * (taps - 1) - 1
        counts.append(room // pace + 1)
        more.append(room % pace)
    one_hot = torch.eye(positions, dtype=x.dtype, device=x.device).reshape(positions, 1, *kernel_size)
    planes = x.reshape(x.shape[0], x.shape[1], *counts)
    return F.conv_transpose2d(
        planes,
        one_hot.repeat(channels, 1, 1, 1),
        None,
        tuple(stride),
        tuple(padding),
        tuple(more),
        channels,
        tuple(dilation),
    )


def _conv3d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] | str = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    groups: int = 1,
) -> torch.Tensor:
    """A kernel that is flat along an axis: a convolution of the two others, in a group for each place of that axis."""
    stride, dilation = (list(step) * 3 if len(step) == 1 else list(step) for step in (stride, dilation))
    if isinstance(padding, str) or x.ndim != 5 or x.shape[0] != 1:
        return NotImplemented
    padding = list(padding) * 3 if len(padding) == 1 else list(padding)
    settings = zip(weight.shape[2:], stride, padding, strict=True)
    flat = [axis for axis, setting in enumerate(settings) if setting == (1, 1, 0)]
    if not flat:
        return NotImplemented
    axis = min(flat, key=lambda flat_axis: x.shape[2 + flat_axis])
    others = [other for other in range(3) if other != axis]
    count, filters = x.shape[2 + axis], weight.shape[0]
    planes = x.movedim(2 + axis, 1).reshape(1, count * x.shape[1], *(x.shape[2 + other] for other in others))
    flat_stride, flat_padding, flat_dilation = (
        [setting[other] for other in others] for setting in (stride, padding, dilation)
    )
    filters_of_all = weight.squeeze(2 + axis).repeat(count, 1, 1, 1)
    added = None if bias is None else bias.repeat(count)
    result = F.conv2d(planes, filters_of_all, added, flat_stride, flat_padding, flat_dilation, groups * count)
    return result.reshape(1, count, filters, *result.shape[2:]).movedim(1, 2 + axis)


def _avg_pool3d(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor:
    """A mean along the first axis, which is one of slices, then of windows of the two others."""
    kernel, stride, margins = (
        list(value) * (3 // len(value)) for value in (kernel_size, stride or kernel_size, padding)
    )
    if x.ndim != 5 or ceil_mode or divisor_override or (any(margins) and not count_include_pad):
        return NotImplemented
    x = F.pad(x, (0, 0, 0, 0, margins[0], margins[0])) if margins[0] else x
    count = (x.shape[2] - kernel[0]) // stride[0] + 1
    parts = [x[:, :, first : first + stride[0] * (count - 1) + 1 : stride[0]] for first in range(kernel[0])]
    result = sum(parts[1:], parts[0]) / kernel[0]
    if kernel[1:] == [1, 1] and stride[1:] == [1, 1] and margins[1:] == [0, 0]:
        return result
    pooled = F.avg_pool2d(result.flatten(1, 2), kernel[1:], stride[1:], margins[1:])
    return pooled.unflatten(1, (x.shape[1], count))


#: operator -> what computes it of others
WINDOWS: dict[Any, Callable[..., Any]] = {
    _aten.im2col.default: _im2col,
    _aten.col2im.default: _col2im,
    _aten.conv3d.default: _conv3d,
    _aten.conv3d.padding: _conv3d,
    _aten.avg_pool3d.default: _avg_pool3d,
}
