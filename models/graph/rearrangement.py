"""What "rearrange" layers do: their reference, and what there is to know of an index map."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch

from models.graph.index_map import IndexMap, Move, axis_terms
from models.graph.layer import Layer, Shape


def run_rearrange(layer: Layer, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    """The result (N, C, H, W) of a "rearrange" layer, without its epilogue: boxes of its operands, `fill` elsewhere."""
    count = max(len(operand) for operand in operands)
    result = torch.full((count, *layer.out_shape), layer.fill, dtype=operands[0].dtype)
    for move in layer.moves:
        box = (
            slice(None),
            *(slice(start, start + size) for start, size in zip(move.first, move.index_map.sizes, strict=True)),
        )
        indices = torch.from_numpy(move.index_map.indices())
        result[box] = operands[move.operand].flatten(1)[:, indices]
    return result


def identity_tables(shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The terms of channels, rows and columns with which a (C, H, W) tensor is itself."""
    channels, height, width = shape
    return (
        np.arange(channels, dtype=np.int64) * (height * width),
        np.arange(height, dtype=np.int64) * width,
        np.arange(width, dtype=np.int64),
    )


def channel_slice(layer: Layer) -> int | None:
    """The first channel of a layer that is a slice of neighbouring channels of its input, and else None."""
    channels = channel_table(layer)
    if channels is None or not np.array_equal(channels, channels[0] + np.arange(len(channels))):
        return None
    return int(channels[0])


def channel_table(layer: Layer) -> np.ndarray | None:
    """The input channel of each output channel where a layer moves whole planes of one input, and else None."""
    if layer.op != "rearrange" or len(layer.moves) != 1:
        return None
    return planes_moved(layer.moves[0], layer.in_shapes[layer.moves[0].operand], layer.out_shape)


def planes_moved(move: Move, source: Shape, target: Shape) -> np.ndarray | None:
    """The input channel of each output channel where `move` makes all of `target` of whole planes, and else None."""
    if move.index_map.sizes != target or source[1:] != target[1:]:
        return None
    tables = move.index_map.tables()
    _, rows, columns = identity_tables(source)
    channels = tables[0] + move.index_map.offset
    whole = np.array_equal(tables[1], rows) and np.array_equal(tables[2], columns)
    return channels // (source[1] * source[2]) if whole and not (channels % (source[1] * source[2])).any() else None


def straight_axis(layer: Layer, axis: int) -> tuple[int, int] | None:
    """(first, step) where row (axis 0) or column (axis 1) i of the result is row or column first + i x step of the
    one operand; None where it is not as simple."""
    if len(layer.moves) != 1 or layer.moves[0].index_map.sizes != layer.out_shape:
        return None
    index_map = layer.moves[0].index_map
    unit = layer.in_shapes[0][2] if axis == 0 else 1
    extent = layer.in_shapes[0][1 + axis]
    terms = axis_terms(index_map.axes[1 + axis])
    first = index_map.offset // unit % extent
    if len(terms) == 1:
        return first, 1
    step = Fraction(int(terms[1] - terms[0]), unit)
    inside = step.denominator == 1 and 0 <= first + step * (len(terms) - 1) < extent
    others = [i for i in range(3) if i != 1 + axis]
    units = {0: layer.in_shapes[0][1] * layer.in_shapes[0][2], 1: layer.in_shapes[0][2], 2: 1}
    apart = all(_stays(axis_terms(index_map.axes[i]), units, 1 + axis, layer.in_shapes[0]) for i in others)
    straight = np.array_equal(terms, terms[0] + np.arange(len(terms)) * (terms[1] - terms[0]))
    return (first, int(step)) if inside and straight and apart else None


def _stays(terms: np.ndarray, units: dict[int, int], axis: int, source: Shape) -> bool:
    """Whether terms that begin at zero never move along an axis of the source."""
    return bool(((terms // units[axis]) % source[axis] == 0).all() and (terms >= 0).all())


def compose_planes(outer: np.ndarray, source: Shape) -> IndexMap:
    """The map that takes channels `outer` of a source of shape `source`, whole planes."""
    _, rows, columns = identity_tables(source)
    return IndexMap.of(0, (np.asarray(outer, np.int64) * (source[1] * source[2]), rows, columns))
