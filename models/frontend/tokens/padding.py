"""Pads of tensors of any rank: repeated elements are a view; constants are a box of a rearrangement for each axis."""

from __future__ import annotations

import numpy as np

from models.frontend.call import Call
from models.frontend.tokens.joining import axis_first_groups
from models.frontend.tokens.reader import TensorReader, as_view, joined_shape
from models.frontend.views.placing import Placing
from models.frontend.views.view import TensorView, placed
from models.frontend.windows.pads import REPEATING, pad_mode
from models.graph.index_map import Move


def pad(call: Call, reader: TensorReader) -> TensorView:
    """F.pad of a view or name: amounts come in pairs, those of the last axis first; negative ones crop."""
    view = as_view(call, reader, "self")
    amounts = list(call["pad"] if "pad" in call.arguments else call["padding"])
    mode, fill = pad_mode(call), float(call.get("value") or 0.0)
    if view.rank > 2 and view.sizes[0] == 1 and any(amounts[2 * (view.rank - 1) :]):
        raise call.refusal("it pads the batch", "pad other axes")
    for number in range(len(amounts) // 2):
        axis, (before, behind) = view.rank - 1 - number, amounts[2 * number : 2 * number + 2]
        extent = view.sizes[axis]
        if mode in REPEATING:
            grown = np.pad(np.arange(extent), (max(before, 0), max(behind, 0)), REPEATING[mode])  # type: ignore[call-overload]
            view = view.take(axis, grown[max(-before, 0) : len(grown) - max(-behind, 0)])
            continue
        if min(before, behind) < 0:
            view = view.take(axis, range(max(-before, 0), extent - max(-behind, 0)))
        if max(before, behind) > 0:
            view = _grow(call, reader.placing, view, axis, (max(before, 0), max(behind, 0)), fill)
    return view


def _grow(
    call: Call, placing: Placing, view: TensorView, axis: int, amounts: tuple[int, int], fill: float
) -> TensorView:
    """A view with `amounts` elements of value `fill` before and behind along an axis."""
    groups = axis_first_groups(view, axis)
    sizes = [size + sum(amounts) if number == axis else size for number, size in enumerate(view.sizes)]
    where = next(number for number, group in enumerate(groups) if axis in group)
    rest = int(np.prod([sizes[other] for other in groups[where] if other != axis], dtype=np.int64))
    corner = [0, 0, 0]
    corner[where] = amounts[0] * rest
    move = Move(view.index_map(groups), first=(corner[0], corner[1], corner[2]))
    return placed(placing.rearrange(call, [view.source], [move], joined_shape(sizes, groups), fill), sizes, groups)
