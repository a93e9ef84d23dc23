"""Placing: brings TensorViews into planes, as "rearrange" drafts, where an operator reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from models.frontend.call import Call
from models.frontend.draft import Draft
from models.frontend.views.view import TensorView, placed
from models.graph.index_map import IndexMap, Move
from models.graph.layer import Shape

#: which axes of a tensor are joined to its channels, its rows and its columns
Groups = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

#: of (1, C, H, W)
STANDARD: Groups = ((0, 1), (2,), (3,))


@dataclass
class Placing:
    """The drafts made so far, and which rearrangements are among them.

    Attributes:
        drafts, shapes: of the network that is read; both grow.
        names: the tensor that each rearrangement of each source became.
    """

    drafts: list[Draft]
    shapes: dict[str, Shape]
    names: dict[tuple[str, IndexMap], str] = field(default_factory=dict)

    def place(self, view: TensorView, groups: Groups, call: Call) -> str:
        """The name of the tensor whose channels, rows and columns are the view's axes in `groups`; `call` reads it."""
        index_map = view.index_map(groups)
        channels, height, width = index_map.sizes
        return self.rearrange(call, [view.source], [Move(index_map)], (channels, height, width))

    def rearrange(
        self, call: Call, sources: Sequence[str], moves: Sequence[Move], shape: Shape, fill: float = 0.0
    ) -> str:
        """The name of the tensor that `moves` make of `sources`: a source itself, one that is there, or a new one."""
        single = len(moves) == 1 and moves[0].index_map.sizes == shape
        key = (sources[0], moves[0].index_map)
        if single and key in self.names:
            return self.names[key]
        if single and TensorView.of(sources[0], self.shapes[sources[0]]).index_map(STANDARD) == moves[0].index_map:
            return sources[0]
        name, count = f"{call.name}.placed", 1
        while name in self.shapes:
            count += 1
            name = f"{call.name}.placed{count}"
        draft = replace(call, name=name, shape=shape).draft("rearrange", sources, "rearrange")
        draft.moves, draft.fill = tuple(moves), fill
        self.drafts.append(draft)
        self.shapes[name] = shape
        if single:
            self.names[key] = name
        return name

    def settle(self, view: TensorView, call: Call) -> TensorView:
        """The same tensor as a view of one that has its elements in their order, so that every reshape of it is one."""
        groups = usual_groups(view.sizes)
        return placed(self.place(view, groups, call), view.sizes, groups)

    def reshape(self, view: TensorView, sizes: Sequence[int], call: Call) -> TensorView:
        """The elements in their order under other sizes, one of which may be -1."""
        missing = prod(view.sizes) // max(prod(size for size in sizes if size != -1), 1)
        whole = [missing if size == -1 else size for size in sizes]
        result = view.reshape(whole) or self.settle(view, call).reshape(whole)
        assert result is not None
        return result


def usual_groups(sizes: Sequence[int]) -> Groups:
    """How a tensor lies in planes in its elements' order: rows are its last axis, and whatever is in front channels."""
    rank = len(sizes)
    if rank <= 2:
        return tuple(range(rank)), (), ()
    return tuple(range(rank - 2)), (rank - 2,), (rank - 1,)


def source_groups(view: TensorView) -> Groups | None:
    """The groups under which a view of any order of axes is its source as it lies; None where there are none."""
    waiting = sorted(range(view.rank), key=lambda axis: -int(np.ptp(view.tables[axis])))
    groups: list[tuple[int, ...]] = []
    for extent in view.source_shape:
        group: list[int] = []
        while waiting and prod(view.sizes[axis] for axis in group) < extent:
            group.append(waiting.pop(0))
        groups.append(tuple(group))
    in_order: Groups = (groups[0], groups[1], (*groups[2], *waiting))
    if tuple(prod(view.sizes[axis] for axis in group) for group in in_order) != view.source_shape:
        return None
    plain = TensorView.of(view.source, view.source_shape).index_map(STANDARD)
    return in_order if view.index_map(in_order) == plain else None


def place_constant(value: np.ndarray, sizes: tuple[int, ...], groups: Groups) -> np.ndarray:
    """A constant that torch repeats to `sizes`, as (1, C, H, W) with 1 for groups of axes it repeats along."""
    if value.size == 1:
        return value.reshape(1, 1, 1, 1)
    value = value.reshape((1,) * (len(sizes) - value.ndim) + value.shape)
    joined = []
    for group in groups:
        if any(value.shape[axis] != 1 for axis in group):
            shape = [sizes[axis] if axis in group else value.shape[axis] for axis in range(value.ndim)]
            value = np.broadcast_to(value, shape)
        joined.append(int(np.prod([value.shape[axis] for axis in group])))
    return value.transpose([axis for group in groups for axis in group]).reshape(1, *joined)
