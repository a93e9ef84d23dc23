"""Concatenation along any axis of tensors of any rank: a join of channels where the axis is theirs, else a
rearrangement that fills a box of its result for each tensor."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from models.frontend.arithmetic import constant
from models.frontend.call import Call
from models.frontend.tokens.arranging import natural_groups
from models.frontend.tokens.reader import TensorReader, joined_shape, leave
from models.frontend.views.placing import Groups, place_constant, source_groups
from models.frontend.views.view import TensorView, placed
from models.graph.index_map import Move


def concatenate(call: Call, reader: TensorReader) -> TensorView:
    """torch.cat of views, names and constants."""
    placing, rank = reader.placing, len(call.sizes)
    axis = call["dim"] % rank
    views = [TensorView.of(part, placing.shapes[part]) if isinstance(part, str) else part for part in call["tensors"]]
    groups = axis_first_groups(max((view for view in views if isinstance(view, TensorView)), key=_elements), axis)
    parts = [
        place_array(call, reader, view, number, groups) if isinstance(view, np.ndarray) else view
        for number, view in enumerate(views)
    ]
    shape = joined_shape(call.sizes, groups)
    if axis in groups[0]:
        names = [placing.place(part, groups, call) for part in parts]
        return placed(leave(call, reader, "concat", names, shape), call.sizes, groups)
    where = 1 if axis in groups[1] else 2
    rest = prod(call.sizes[other] for other in groups[where] if other != axis)
    moves, sources, first = [], list(dict.fromkeys(part.source for part in parts)), 0
    for part in parts:
        corner = (0, first, 0) if where == 1 else (0, 0, first)
        moves.append(Move(part.index_map(groups), sources.index(part.source), corner))
        first += part.sizes[axis] * rest
    return placed(placing.rearrange(call, sources, moves, shape), call.sizes, groups)


def _elements(view: TensorView) -> int:
    return prod(view.sizes)


def axis_first_groups(view: TensorView, axis: int) -> Groups:
    """Planes for what grows along `axis`: those of `view` where it is the slowest of the axes it is joined to."""
    for groups in (source_groups(view), natural_groups(view)):
        if groups is None:
            continue
        (group,) = (group for group in groups if axis in group)
        before = group[: group.index(axis)]
        if all(view.sizes[other] == 1 for other in before):
            return groups
    *others, last = (other for other in range(view.rank) if other != axis)
    return (axis, *others), (), (last,)


def place_array(call: Call, reader: TensorReader, value: np.ndarray, number: int, groups: Groups) -> TensorView:
    """A constant among the tensors, as a view of a draft that makes it."""
    planes = place_constant(value, value.shape, groups)[0].reshape(joined_shape(value.shape, groups))
    draft = constant(call, planes, f"{call.name}.value{number}")
    reader.placing.drafts.append(draft)
    reader.placing.shapes[draft.name] = draft.shape
    return placed(draft.name, value.shape, groups)


def stack(call: Call, reader: TensorReader) -> TensorView:
    """torch.stack: each tensor with a new axis, concatenated along it."""
    axis = call["dim"] % len(call.sizes)
    parts: list[TensorView | np.ndarray] = []
    for part in call["tensors"]:
        if isinstance(part, np.ndarray):
            parts.append(np.expand_dims(part, axis))
        else:
            view = TensorView.of(part, reader.placing.shapes[part]) if isinstance(part, str) else part
            parts.append(view.insert(axis))
    return concatenate(replace(call, arguments={"tensors": parts, "dim": axis}), reader)
