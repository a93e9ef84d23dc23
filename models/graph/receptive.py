"""Receptive fields of a Graph's tensors: which input pixels can reach a cell, by shapes alone; torch-free.

Per axis a tensor's cell i depends on the input pixels [low + i * stride, high + i * stride]. A window op widens the
interval, an add or a concat takes the smallest one that holds all its inputs'. Padding does not cut the field: near
the border, and where it exceeds the picture, it reaches into zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from models.graph.layer import Layer
from models.graph.network import Graph


@dataclass(frozen=True)
class Axis:
    """One axis of a receptive field, in input pixels; fractions only after a resize."""

    low: Fraction
    high: Fraction
    stride: Fraction

    @property
    def size(self) -> int:
        return ceil(self.high - self.low) + 1


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
    """The field of every tensor of the graph, the input included, by name."""
    pixel = Axis(Fraction(0), Fraction(0), Fraction(1))
    fields = {graph.input: Field(pixel, pixel)}
    for layer in graph.layers:
        inputs = [fields[name] for name in layer.inputs]
        operands, addends = inputs[: layer.operands], inputs[layer.operands :]
        rows = _through(layer, 0, _union([field.rows for field in operands]))
        columns = _through(layer, 1, _union([field.columns for field in operands]))
        fields[layer.name] = Field(
            _union([rows, *(field.rows for field in addends)]),
            _union([columns, *(field.columns for field in addends)]),
        )
    return fields


def _union(axes: list[Axis]) -> Axis:
    """The smallest field that holds all; of different strides (only resizes make them) the largest."""
    return Axis(min(axis.low for axis in axes), max(axis.high for axis in axes), max(axis.stride for axis in axes))


def _through(layer: Layer, axis: int, before: Axis) -> Axis:
    if layer.op in ("conv", "max_pool", "avg_pool"):
        low = -layer.padding[axis]
        high = low + layer.dilation[axis] * (layer.kernel[axis] - 1)
        stride = layer.stride[axis]
        return Axis(before.low + low * before.stride, before.high + high * before.stride, before.stride * stride)
    if layer.op == "resize":
        return _resize(layer, axis, before)
    return before


def _resize(layer: Layer, axis: int, before: Axis) -> Axis:
    """Cell 0's field as in torch: nearest reads one cell, bilinear the two around its centre (clamped at the border).

    Cells differ in how far they read; the field given is wide enough for each: one cell more for bilinear.
    """
    cells_in, cells_out = layer.in_shapes[0][axis + 1], layer.out_shape[axis + 1]
    stride = before.stride * Fraction(cells_in, cells_out)
    if cells_in == cells_out or layer.mode == "nearest":
        return Axis(before.low, before.high, stride)
    return Axis(before.low, before.high + before.stride, stride)
