"""The torch operators that take parts of a tensor: slices, splits, elements by constant indices, windows.

`PARTS` is the whole list; `operators.VIEWS` has them with those that keep every element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.frontend.call import Call
from models.frontend.views.placing import Placing
from models.frontend.views.view import TensorView

Rearranged = TensorView | list[TensorView]


Operator = Callable[[Call, Placing], Rearranged]


def axis_of(call: Call, view: TensorView, argument: str = "dim", rank: int | None = None) -> int:
    return int(call.get(argument, 0)) % (rank or view.rank)


def _slice(call: Call, _placing: Placing) -> Rearranged:
    view, axis = call["self"], axis_of(call, call["self"])
    bounds = slice(call.get("start"), call.get("end"), call.get("step", 1))
    return view.take(axis, range(view.sizes[axis])[bounds])


def _narrow(call: Call, _placing: Placing) -> Rearranged:
    view, axis = call["self"], axis_of(call, call["self"])
    start = call["start"] % view.sizes[axis] if call["start"] < 0 else call["start"]
    return view.take(axis, range(start, start + call["length"]))


def _select(call: Call, _placing: Placing) -> Rearranged:
    return call["self"].select(axis_of(call, call["self"]), call["index"])


def _parts(view: TensorView, axis: int, sizes: Sequence[int]) -> list[TensorView]:
    ends = np.cumsum(sizes)
    return [view.take(axis, range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def _split(call: Call, _placing: Placing) -> Rearranged:
    view, axis = call["self"], axis_of(call, call["self"])
    sizes = call.get("split_size", call.get("split_sizes"))
    extent = view.sizes[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, extent - first) for first in range(0, extent, sizes)]
    return _parts(view, axis, sizes)


def _chunk(call: Call, _placing: Placing) -> Rearranged:
    view, axis = call["self"], axis_of(call, call["self"])
    extent = view.sizes[axis]
    size = -(-extent // call["chunks"])
    return _parts(view, axis, [min(size, extent - first) for first in range(0, extent, size)])


def _tensor_split(call: Call, _placing: Placing) -> Rearranged:
    view, axis = call["self"], axis_of(call, call["self"])
    where = call.get("sections", call.get("indices"))
    pieces = np.array_split(np.arange(view.sizes[axis]), where)
    return [view.take(axis, piece) for piece in pieces]


def _unbind(call: Call, _placing: Placing) -> Rearranged:
    view, axis = call["self"], axis_of(call, call["self"])
    return [view.select(axis, position) for position in range(view.sizes[axis])]


def _index_select(call: Call, _placing: Placing) -> Rearranged:
    view, positions = call["self"], call["index"]
    if not isinstance(positions, np.ndarray):
        raise call.refusal("its index depends on the input")
    return view.take(axis_of(call, view), positions.reshape(-1).astype(np.int64) % view.sizes[axis_of(call, view)])


def _index(call: Call, placing: Placing) -> Rearranged:
    """x[a, :, b] by constant lists: those of one axis, or of several that torch broadcasts against each other."""
    view, indices = call["self"], call["indices"]
    lists = {axis: index for axis, index in enumerate(indices) if index is not None}
    if not lists or not all(isinstance(index, np.ndarray) for index in lists.values()):
        raise call.refusal("its indices depend on the input")
    if any(index.dtype == bool and index.ndim > 1 for index in lists.values()):
        raise call.refusal("truths of several axes are not supported as an index", "index by a list of positions")
    positions = {
        axis: (np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)) % view.sizes[axis]
        for axis, index in lists.items()
    }
    axis, *others = positions
    if not others and positions[axis].ndim == 1:
        return view.take(axis, positions[axis])
    return placing.reshape(view.pick(positions), call.sizes, call)


def _unfold(call: Call, placing: Placing) -> Rearranged:
    """Tensor.unfold: windows along an axis, their elements along a new last one; apart or in overlap."""
    view, axis = call["self"], axis_of(call, call["self"], "dimension")
    size, step = call["size"], call["step"]
    count = (view.sizes[axis] - size) // step + 1
    positions = (np.arange(count)[:, None] * step + np.arange(size)).reshape(-1)
    sizes = [*view.sizes[:axis], count, size, *view.sizes[axis + 1 :]]
    windows = placing.reshape(view.take(axis, positions), sizes, call)
    return windows.permute([*range(axis + 1), *range(axis + 2, windows.rank), axis + 1])


#: operator name -> the function that turns its call into a view
PARTS: dict[str, Operator] = {
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    "split": _split,
    "split_with_sizes": _split,
    "chunk": _chunk,
    "tensor_split": _tensor_split,
    "unbind": _unbind,
    "index_select": _index_select,
    "index": _index,
    "unfold": _unfold,
}
