"""The torch operators that only rearrange: each answers a TensorView of what it reads, or several.

`VIEWS` is the whole list. A function takes a `Call` whose tensors are TensorViews, and the Placing that brings a view
into planes where a reshape cuts across its seams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.frontend.call import Call
from models.frontend.views.parts import PARTS, Operator, Rearranged, axis_of
from models.frontend.views.placing import Placing
from models.frontend.views.shuffles import SHUFFLES
from models.frontend.views.view import TensorView


def _whole_numbers(call: Call, values: Sequence[Any]) -> list[int]:
    if not all(isinstance(value, int) for value in values):
        raise call.refusal("its sizes depend on the data")
    return [int(value) for value in values]


def _reshape(call: Call, placing: Placing) -> Rearranged:
    sizes = call.get("size", call.get("shape"))
    return placing.reshape(call["self"], _whole_numbers(call, sizes), call)


def _like(call: Call, placing: Placing) -> Rearranged:
    return placing.reshape(call["self"], call.sizes, call)


def _expand(call: Call, _placing: Placing) -> Rearranged:
    return call["self"].expand(call.sizes)


def _permute(call: Call, _placing: Placing) -> Rearranged:
    view = call["self"]
    return view.permute([axis % view.rank for axis in call["dims"]])


def _transpose(call: Call, _placing: Placing) -> Rearranged:
    view = call["self"]
    order = list(range(view.rank))
    names = ("dim0", "dim1") if "dim0" in call.arguments else ("axis0", "axis1")
    first, second = (axis_of(call, view, name) for name in names)
    order[first], order[second] = order[second], order[first]
    return view.permute(order)


def _turn_last_two(call: Call, _placing: Placing) -> Rearranged:
    view = call["self"]
    order = list(range(view.rank))
    return view.permute([*order[:-2], *order[-2:][::-1]])


def _reverse_axes(call: Call, _placing: Placing) -> Rearranged:
    return call["self"].permute(range(call["self"].rank)[::-1])


def _move_axes(call: Call, _placing: Placing) -> Rearranged:
    view = call["self"]
    sources, targets = ([axis % view.rank for axis in _many(call[name])] for name in ("source", "destination"))
    left = [axis for axis in range(view.rank) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        left.insert(target, source)
    return view.permute(left)


def _many(values: int | Sequence[int]) -> list[int]:
    return [values] if isinstance(values, int) else list(values)


def _unsqueeze(call: Call, _placing: Placing) -> Rearranged:
    return call["self"].insert(axis_of(call, call["self"], rank=call["self"].rank + 1))


def _turn_over(view: TensorView, axes: Sequence[int]) -> TensorView:
    for axis in axes:
        view = view.take(axis % view.rank, range(view.sizes[axis % view.rank])[::-1])
    return view


def _flip(call: Call, _placing: Placing) -> Rearranged:
    axes = {"fliplr": [1], "flipud": [0]}.get(call.op)
    return _turn_over(call["self"], axes or call["dims"])


def _rot90(call: Call, _placing: Placing) -> Rearranged:
    view, turns = call["self"], call["k"] % 4
    first, second = (axis % view.rank for axis in call["dims"])
    if turns % 2 == 0:
        return _turn_over(view, [first, second] if turns else [])
    order = list(range(view.rank))
    order[first], order[second] = second, first
    return _turn_over(view.permute(order), [first if turns == 1 else second])


def _roll(call: Call, placing: Placing) -> Rearranged:
    view, shifts = call["self"], _many(call["shifts"])
    axes = _many(call["dims"])
    if not axes:
        flat = placing.reshape(view, [-1], call)
        rolled = flat.take(0, np.roll(np.arange(flat.sizes[0]), shifts[0]))
        return placing.reshape(rolled, view.sizes, call)
    for shift, axis in zip(shifts, axes, strict=True):
        view = view.take(axis % view.rank, np.roll(np.arange(view.sizes[axis % view.rank]), shift))
    return view


def _repeat(call: Call, _placing: Placing) -> Rearranged:
    counts = list(call.get("repeats", call.get("dims")))
    view = call["self"]
    counts = [1] * (view.rank - len(counts)) + counts
    while view.rank < len(counts):
        view = view.insert(0)
    for axis, count in enumerate(counts):
        view = view.take(axis, np.tile(np.arange(view.sizes[axis]), count))
    return view


def _repeat_interleave(call: Call, placing: Placing) -> Rearranged:
    view, axis = call["self"], call.get("dim")
    if not isinstance(call["repeats"], int):
        raise call.refusal("only one number of repetitions for all elements is supported")
    if axis is None:
        view, axis = placing.reshape(view, [-1], call), 0
    return view.take(axis % view.rank, np.repeat(np.arange(view.sizes[axis % view.rank]), call["repeats"]))


#: operator name -> the function that turns its call into a view
VIEWS: dict[str, Operator] = {
    **SHUFFLES,
    **PARTS,
    "view": _reshape,
    "reshape": _reshape,
    "_unsafe_view": _reshape,
    "view_as": _like,
    "reshape_as": _like,
    "flatten": _like,
    "unflatten": _like,
    "squeeze": _like,
    "unsqueeze": _unsqueeze,
    "expand": _expand,
    "expand_as": _expand,
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "swapdims": _transpose,
    "t": _turn_last_two,
    "mT": _turn_last_two,
    "adjoint": _turn_last_two,
    "numpy_T": _reverse_axes,
    "movedim": _move_axes,
    "moveaxis": _move_axes,
    "flip": _flip,
    "fliplr": _flip,
    "flipud": _flip,
    "rot90": _rot90,
    "roll": _roll,
    "repeat": _repeat,
    "tile": _repeat,
    "repeat_interleave": _repeat_interleave,
}
