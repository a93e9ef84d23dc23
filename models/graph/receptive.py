"""Receptive fields: which input pixels can reach a cell of a tensor, by shapes alone; torch-free.

Per axis a tensor's cell i depends on the input pixels [low + i * stride, high + i * stride]. A window op widens the
interval, an add or a concat takes the smallest one that holds all its inputs'. Padding does not cut the field: near
the border, and where it exceeds the picture, it reaches into zeros (Araujo et al. 2019, "Computing receptive fields of
convolutional neural networks"). `receptive_fields` is for a Graph; `models.replace.cost` walks what is no Graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, inf, isinf

from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.pooling import ADAPTIVE
from models.graph.rearrangement import straight_axis
from models.graph.resizing import resize_taps
from models.graph.transposed import phase_taps


@dataclass(frozen=True)
class Axis:
    """One axis of a receptive field, in input pixels; that of an input's own cell by default.

    There are fractions only after a resize and in centred windows. The ends are infinite where the whole input is seen.
    """

    low: Fraction | float = Fraction(0)
    high: Fraction | float = Fraction(0)
    stride: Fraction = Fraction(1)

    @property
    def size(self) -> int:
        return ceil(self.high - self.low) + 1

    def size_within(self, extent: int) -> int:
        """As `size`, of an input of `extent` pixels: all of them where the whole input is seen."""
        return extent if isinf(self.high - self.low) else self.size

    def through_window(self, taps: int, stride: int = 1, dilation: int = 1, padding: int | None = None) -> Axis:
        """After a convolution or pool; without a padding the window is centred on its cell."""
        reach = dilation * (taps - 1)
        first = Fraction(-reach, 2) if padding is None else -padding
        low, high = self.low + first * self.stride, self.high + (first + reach) * self.stride
        return Axis(low, high, self.stride * stride)

    def through_resize(self, before: int, after: int, bilinear: bool) -> Axis:
        """After a resize as in torch: nearest reads one cell, bilinear two around its centre (clamped at the border).

        Cells differ in how far they read; the field given is wide enough for each: one cell more for bilinear.
        """
        source = self.through_window(2, padding=0) if bilinear and before != after else self
        return replace(source, stride=self.stride * Fraction(before, after))

    def through_global_pool(self) -> Axis:
        """After a global pool."""
        return Axis(-inf, inf, self.stride)


@dataclass(frozen=True)
class Field:
    """The receptive field of one tensor's cells.

    Attributes:
        rows, columns: the field of cell (0, 0), and how far it moves from cell to cell.
    """

    rows: Axis
    columns: Axis

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in input pixels."""
        return self.rows.size, self.columns.size

    @property
    def stride(self) -> tuple[float, float]:
        """Input pixels from one cell to the next, (down, right)."""
        return float(self.rows.stride), float(self.columns.stride)


def receptive_fields(graph: Graph) -> dict[str, Field]:
    """The field of every tensor of the graph, the input included, by name; of a constant that of one input cell."""
    fields = {graph.input: Field(Axis(), Axis())}
    constants = {layer.name for layer in graph.layers if layer.op == "constant"}
    fields |= dict.fromkeys(constants, Field(Axis(), Axis()))
    for layer in graph.layers:
        if layer.name in constants:
            continue
        operands = [fields[name] for name in layer.inputs[: layer.operands] if name not in constants]
        addends = [fields[name] for name in layer.inputs[layer.operands :] if name not in constants]
        rows = _through(layer, 0, union(field.rows for field in operands))
        columns = _through(layer, 1, union(field.columns for field in operands))
        fields[layer.name] = Field(
            union([rows, *(field.rows for field in addends)]),
            union([columns, *(field.columns for field in addends)]),
        )
    return fields


def union(fields: Iterable[Axis]) -> Axis:
    """The smallest field that holds all; of different strides (only resizes make them) the largest."""
    axes = list(fields)
    return Axis(min(axis.low for axis in axes), max(axis.high for axis in axes), max(axis.stride for axis in axes))


def _through(layer: Layer, axis: int, before: Axis) -> Axis:
    if layer.transposed:
        return _through_transposed(layer, axis, before)
    if layer.mode == ADAPTIVE:
        step = before.stride * Fraction(layer.in_shapes[0][1 + axis], layer.out_shape[1 + axis])
        return replace(before.through_window(layer.kernel[axis], padding=0), stride=step)
    if layer.op in ("conv", "max_pool", "avg_pool"):
        return before.through_window(layer.kernel[axis], layer.stride[axis], layer.dilation[axis], layer.padding[axis])
    if layer.op in ("matmul", "fallback"):
        return before.through_global_pool()
    if layer.reduction is not None and "HW"[axis] in layer.reduction.axes:
        return before.through_global_pool()
    if layer.op == "resize":
        extents = layer.in_shapes[0][axis + 1], layer.out_shape[axis + 1]
        if layer.mode in ("nearest", "nearest_exact", "bilinear"):
            return before.through_resize(*extents, layer.mode == "bilinear")
        taps = resize_taps(layer, axis)[0].shape[1]
        return replace(before.through_window(taps), stride=before.stride * Fraction(*extents))
    if layer.op == "rearrange":
        straight = straight_axis(layer, axis)
        return before.through_window(1, straight[1], padding=-straight[0]) if straight else before.through_global_pool()
    return before


def _through_transposed(layer: Layer, axis: int, before: Axis) -> Axis:
    """Cell stride x i + phase reads the cells i + shift: from the cell itself, shift - phase / stride further."""
    stride = layer.stride[axis]
    reach = [shift - Fraction(phase, stride) for phase in range(stride) for _, shift in phase_taps(layer, axis, phase)]
    low, high = before.low + min(reach) * before.stride, before.high + max(reach) * before.stride
    return Axis(low, high, before.stride / stride)
