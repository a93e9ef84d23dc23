"""Windows of pools: where each begins and ends, and the execution of pools in float64.

An ordinary window begins at position x stride - padding and has `kernel` elements, `dilation` apart. An adaptive one
reaches from floor(position x extent / outputs) to below ceil((position + 1) x extent / outputs).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from models.graph.layer import Layer

ADAPTIVE = "adaptive"


def largest_window(extent: int, outputs: int) -> int:
    """Elements of the largest adaptive window along an axis."""
    return max(-(-(i + 1) * extent // outputs) - i * extent // outputs for i in range(outputs))


def overhang(layer: Layer, axis: int) -> int:
    """Positions beyond the end of an axis that an ordinary pool's last window reaches, padding included."""
    reach = (layer.out_shape[1 + axis] - 1) * layer.stride[axis] + (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
    return max(0, reach - layer.padding[axis] - layer.in_shapes[0][1 + axis])


def run_pool(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """A "max_pool" or "avg_pool", without its epilogue."""
    largest = layer.op == "max_pool"
    if layer.mode == ADAPTIVE:
        pool = F.adaptive_max_pool2d if largest else F.adaptive_avg_pool2d
        return pool(x, layer.out_shape[1:])
    rows, columns = layer.padding
    below, right = (max(layer.padding[axis], overhang(layer, axis)) for axis in (0, 1))
    padded = F.pad(x, (columns, right, rows, below), value=-torch.inf if largest else 0.0)
    height, width = layer.out_shape[1:]
    if largest:  # not by torch's own padding, which must not exceed half the kernel
        return F.max_pool2d(padded, layer.kernel, layer.stride, 0, layer.dilation)[:, :, :height, :width]
    sums = F.avg_pool2d(padded, layer.kernel, layer.stride, divisor_override=1)[:, :, :height, :width]
    return sums / layer.divisor if layer.divisor else sums / _counts(layer, x.dtype)


def _counts(layer: Layer, dtype: torch.dtype) -> torch.Tensor:
    """Elements that each average is divided by, (height, width)."""
    axes = []
    for axis in (0, 1):
        extent, padding = layer.in_shapes[0][1 + axis], layer.padding[axis]
        counted = padding if layer.count_include_pad else 0
        starts = torch.arange(layer.out_shape[1 + axis]) * layer.stride[axis] - padding
        ends = (starts + layer.kernel[axis]).clamp(max=extent + counted)
        axes.append(ends - starts.clamp(min=-counted))
    return (axes[0][:, None] * axes[1]).to(dtype)
