"""Products of two tensors: matmul and its kin, each a "matmul" layer that reads its operands where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.frontend.tokens.reader import TensorReader, joined_shape, leave
from models.frontend.views.placing import Groups
from models.frontend.views.view import TensorView, placed
from models.graph.layer import Shape
from models.graph.product import Product, Spot, Walk, channel_batches
from models.graph.rearrangement import planes_moved

NO_STEP: Spot = (0, 0, 0)


def walk_of(view: TensorView, loops: Sequence[int | None]) -> Walk | None:
    """How loops go through a view: each along one of its axes, or along none; None where a step is no fixed one."""
    _, height, width = view.source_shape
    start = view.offset + sum(int(table[0]) for table in view.tables)

    def spot(number: int) -> Spot:
        return number // (height * width), number // width % height, number % width

    first = spot(start)
    low, high = list(first), list(first)
    steps: list[Spot] = []
    for axis in loops:
        table = np.zeros(1, np.int64) if axis is None else view.tables[axis]
        if len(table) == 1:
            steps.append(NO_STEP)
            continue
        length = int(table[1] - table[0])
        if not np.array_equal(table - table[0], np.arange(len(table)) * length):
            return None
        there = spot(start + length)
        step = (there[0] - first[0], there[1] - first[1], there[2] - first[2])
        steps.append(step)
        for place in range(3):
            reach = step[place] * (len(table) - 1)
            low[place], high[place] = low[place] + min(reach, 0), high[place] + max(reach, 0)
    # a step that would carry from one row or plane to the next is none of fixed (channels, rows, columns)
    inside = all(low[i] >= 0 and high[i] < view.source_shape[i] for i in range(3))
    return Walk(first, tuple(steps)) if inside else None


@dataclass(frozen=True)
class _Operands:
    """A product as a "matmul" layer can compute it: rows of the result from `left`, its columns from `right`.

    Attributes:
        turned: the result is that of the transposed product: its rows are torch's columns.
    """

    left: TensorView
    right: TensorView
    turned: bool


def multiply(call: Call, reader: TensorReader, first: TensorView, second: TensorView, scale: float = 1.0) -> TensorView:
    """Leave the product of two views (..., M, K) and (..., K, N), times `scale`; a view of (..., M, N)."""
    rank = max(first.rank, second.rank)
    for number, view in enumerate((first, second)):
        seen, factor = _see_through(view, reader)
        first, second, scale = (seen, second, scale * factor) if number == 0 else (first, seen, scale * factor)
    first, second = (_deepen(view, rank) for view in (first, second))
    batch = np.broadcast_shapes(first.sizes[:-2], second.sizes[:-2])
    rows, depth, columns = first.sizes[-2], first.sizes[-1], second.sizes[-1]
    first, second = first.expand((*batch, rows, depth)), second.expand((*batch, depth, columns))
    sizes = (*batch, rows, columns)
    loops = [axis for axis in range(rank - 2) if sizes[axis] > 1]
    operands = _legal(first, second, loops) or _legal(*_placed(call, reader, first, second, loops), loops)
    assert operands is not None
    return _leave_product(call, reader, operands, sizes, loops, depth, scale)


def _see_through(view: TensorView, reader: TensorReader) -> tuple[TensorView, float]:
    """The tensor that a view is a multiple of, as a view of what slices of channels were cut from, and the factor."""
    makers = {draft.name: draft for draft in reader.placing.drafts}
    factor = 1.0
    while (maker := makers.get(view.source)) is not None and not maker.epilogue and len(maker.inputs) == 1:
        source = maker.inputs[0]
        shape = reader.placing.shapes[source]
        if (scale := _single_factor(maker)) is not None:
            view, factor = replace(view, source=source), factor * scale
        elif (first := _first_channel(maker, shape)) is not None:
            view = replace(view, source=source, source_shape=shape, offset=view.offset + first * shape[1] * shape[2])
        else:
            break
    return view, factor


def _first_channel(draft: Draft, source: Shape) -> int | None:
    """The first channel of a draft that is a slice of neighbouring channels of its input, of shape `source`."""
    if draft.op != "rearrange" or len(draft.moves) != 1:
        return None
    channels = planes_moved(draft.moves[0], source, draft.shape)
    if channels is None or not np.array_equal(channels, channels[0] + np.arange(len(channels))):
        return None
    return int(channels[0])


def _single_factor(draft: Draft) -> float | None:
    """What a draft multiplies every element by, if that is all it does."""
    if draft.op != "affine" or draft.weight is None or draft.bias is None or draft.bias.any():
        return None
    return float(draft.weight[0]) if (draft.weight == draft.weight[0]).all() else None


def _deepen(view: TensorView, rank: int) -> TensorView:
    while view.rank < rank:
        view = view.insert(0)
    return view


def _walks(operands: _Operands, loops: Sequence[int]) -> tuple[Walk | None, Walk | None]:
    """Of the left operand along the batch, rows and depth, and of the right one along the batch, columns and depth."""
    last = operands.left.rank - 1
    if operands.turned:  # left is torch's second, (..., K, N): its rows are N
        left, right = (*loops, last, None, last - 1), (*loops, None, last - 1, last)
    else:
        left, right = (*loops, last - 1, None, last), (*loops, None, last, last - 1)
    return walk_of(operands.left, left), walk_of(operands.right, right)


def _legal(first: TensorView, second: TensorView, loops: Sequence[int]) -> _Operands | None:
    """The product or the transposed one, where the kernel's vectors lie along a row of an operand; the transposed one
    first: of attention it has keys in channels, where a softmax is a loop over planes."""
    candidates = [_Operands(second, first, True), _Operands(first, second, False)]
    legal = []
    for operands in candidates:
        left, right = _walks(operands, loops)
        if left is not None and right is not None and right.steps[-2] in ((0, 0, 1), NO_STEP):
            legal.append(operands)
    if len(legal) == 2 and first.sizes[-2] < 8 <= second.sizes[-1]:
        return legal[1]  # vectors of few elements would be mostly empty
    return legal[0] if legal else None


def _placed(
    call: Call, reader: TensorReader, first: TensorView, second: TensorView, loops: Sequence[int]
) -> tuple[TensorView, TensorView]:
    """Both operands as views that are fit for the transposed product, brought into planes where they are not."""
    last = first.rank - 1
    units = tuple(axis for axis in range(last - 1) if axis not in loops)
    along, across = (*loops, None, last - 1, last), (*loops, last, None, last - 1)
    walk = walk_of(first, along)
    if walk is None or walk.steps[-2] != (0, 0, 1):
        groups: Groups = ((*units, *loops, last), (), (last - 1,))
        first = placed(reader.placing.place(first, groups, call), first.sizes, groups)
    if walk_of(second, across) is None:
        groups = ((*units, *loops, last - 1), (), (last,))
        second = placed(reader.placing.place(second, groups, call), second.sizes, groups)
    return first, second


def _leave_product(
    call: Call,
    reader: TensorReader,
    operands: _Operands,
    sizes: tuple[int, ...],
    loops: Sequence[int],
    depth: int,
    scale: float,
) -> TensorView:
    left, right = _walks(operands, loops)
    assert left is not None
    assert right is not None
    last = len(sizes) - 1
    row, column = (last, last - 1) if operands.turned else (last - 1, last)
    in_rows = [_moves_along_rows(right.steps[i]) for i in range(len(loops))]
    extents = (*(sizes[axis] for axis in loops), sizes[row], sizes[column], depth)
    out, shape = channel_batches(extents, in_rows)
    product = Product(extents, left, right, out, scale)
    name = leave(call, reader, "matmul", [operands.left.source, operands.right.source], shape, product=product)
    units = tuple(axis for axis in range(last - 1) if axis not in loops)
    channels = tuple(axis for axis, rows in zip(loops, in_rows, strict=True) if not rows)
    rows_axes = tuple(axis for axis, rows in zip(loops, in_rows, strict=True) if rows)
    groups = ((*units, *channels, row), rows_axes, (column,))
    assert joined_shape(sizes, groups) == shape
    return placed(name, sizes, groups)


def _moves_along_rows(step: Spot) -> bool:
    return step[0] == step[2] == 0 and step[1] != 0
