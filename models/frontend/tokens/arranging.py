"""In which planes a tensor of any rank is to lie: those it is in already, where they will do."""

from __future__ import annotations

from collections.abc import Collection
from math import prod

import numpy as np

from models.frontend.views.placing import Groups, source_groups
from models.frontend.views.view import TensorView
from models.graph.reduction import AXES


def arrange(view: TensorView, combined: Collection[int]) -> tuple[Groups, str, int]:
    """How a view is to lie in planes so that its axes `combined` can be reduced there.

    Returns:
        Which axes are joined to channels, rows and columns; which of C, H, W are combined; and in how many groups of
        channels, as in models.graph.reduction.Reduction.
    """
    for groups in (source_groups(view), natural_groups(view)):
        if groups is not None and (reduced := _reduced(view.sizes, groups, combined)) is not None:
            return groups, *reduced
    groups = feature_groups(view.sizes, combined)
    reduced = _reduced(view.sizes, groups, combined)
    assert reduced is not None
    return groups, *reduced


def natural_groups(view: TensorView) -> Groups:
    """Planes that a view is brought into with the least moving: its axes that go from channel to channel of its source
    are channels, and of those within a plane the last is the columns, the others are the rows."""
    _, height, width = view.source_shape
    reach = [int(np.ptp(table)) for table in view.tables]
    within = [axis for axis in range(view.rank) if 0 < reach[axis] < height * width]
    across = [axis for axis in range(view.rank) if axis not in within]
    channels = tuple(sorted(across, key=lambda axis: (reach[axis] != 0, -reach[axis])))
    return channels, tuple(within[:-1]), tuple(within[-1:])


def _reduced(sizes: tuple[int, ...], groups: Groups, combined: Collection[int]) -> tuple[str, int] | None:
    """(axes, groups) of a Reduction; None where an axis of the planes is combined in part. Of channels, the part that
    changes fastest may be: the others count groups."""
    axes, count = "", 1
    for letter, group in zip(AXES, groups, strict=True):
        extents = [sizes[axis] for axis in group if sizes[axis] > 1]
        inside = [axis in combined for axis in group if sizes[axis] > 1]
        if not any(inside):
            continue
        first = inside.index(True)
        if not all(inside[first:]) or (first and letter != "C"):
            return None
        axes, count = axes + letter, count * prod(extents[:first])
    return (axes, count) if axes else ("C", prod(sizes[axis] for axis in groups[0]))


def feature_groups(sizes: tuple[int, ...], combined: Collection[int], alone: bool = False) -> Groups:
    """Planes whose channels are the axes `combined`, and before them, unless they are to be `alone`, what is left when
    the last other axis is the columns and the one before it the rows."""
    kept = [axis for axis in range(len(sizes)) if axis not in combined and sizes[axis] > 1]
    single = tuple(axis for axis in range(len(sizes)) if axis not in combined and sizes[axis] == 1)
    first = 0 if alone else max(len(kept) - 2, 0)
    return (*single, *kept[:first], *sorted(combined)), tuple(kept[first:-1]), tuple(kept[-1:])
