"""Winograd convolutions that follow one another: the last kernel of one and the first of the next in one launch.

Both work channel by channel: the output transform of a channel writes all that the next layer's input transform of it
reads. So a work-group makes whole channels, its work-items meet at a barrier, and then transform what they wrote, which
is still in the cache. No element is computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm_ffi
from tvm import tirx

from codegen.kernels.builder import grid_statements
from codegen.lowering.launches.bound_grid import Axis, BoundGrid, bind, make_function, make_grid, scratch_of
from codegen.schedules.winograd_transforms import INPUT_ROWS
from devices.profile import Profile

#: the scratch of a Winograd function that its first grid writes, and does nothing else
TILES = "v"
#: channels of a work-group, at most: more leave too few groups
MOST_CHANNELS = 4
#: work-groups that each core should have, so that none waits for another for long
LEAST_GROUPS = 4
#: cores of a GPU whose profile does not say
CORES = 8


@dataclass(frozen=True)
class ChannelGroups:
    """How work-groups share the channels of a tensor.

    Attributes:
        channels: of the tensor; of_group: of a work-group, the last of which may have fewer.
        items: of a work-group, one for each task of each of its channels.
    """

    channels: int
    of_group: int
    items: int

    @classmethod
    def of(cls, channels: int, tasks: int, profile: Profile) -> ChannelGroups | None:
        """Groups of a size that suits the device, whose channels have `tasks` each, with the fewest idle lanes; None
        where a channel is too large for any group, or channels are too few for the device's cores."""
        warp, least = profile.thread_warp_size, LEAST_GROUPS * (profile.compute_units or CORES)
        fitting = [
            count
            for count in range(1, MOST_CHANNELS + 1)
            if count * tasks <= max(profile.work_group, tasks) and -(-channels // count) >= least
        ]
        if not fitting or tasks > profile.max_threads_per_block:
            return None
        count = min(fitting, key=lambda count: -(-count * tasks // warp) * warp / (count * tasks))
        return cls(channels, count, count * tasks)

    @property
    def groups(self) -> int:
        return -(-self.channels // self.of_group)


def count_tiles(function: tirx.PrimFunc) -> int:
    """Elements of the transformed tiles of a Winograd convolution's input."""
    return int(_tiles(function).shape[0])


def hand_over(first: tirx.PrimFunc, second: tirx.PrimFunc, channels: int, profile: Profile) -> tirx.PrimFunc | None:
    """The function `first`, which also does what the first grid of `second` does.

    Args:
        first, second: functions of Winograd convolutions, the second of which reads, as its first parameter, what the
            first one writes: a tensor of so many channels.

    Returns:
        A function of the first one's parameters and, last, the transformed tiles; None where its channels do not suit
        the device (`ChannelGroups.of`), or it lacks a constant that the second one's transform reads.
    """
    *before, last = grid_statements(first)
    tiles, known = _tiles(second), {parameter.name: parameter for parameter in first.params}
    replaced = [(second.params[0], first.params[-1])]
    for parameter in second.params:
        if parameter.name == INPUT_ROWS:  # the same numbers for all layers of one size of tiles
            if INPUT_ROWS not in known:
                return None
            replaced.append((parameter, known[INPUT_ROWS]))

    def renamed(variable: tirx.Var) -> tirx.Var:
        return next((now for was, now in replaced if variable.same_as(was)), variable)

    read = tvm_ffi.structural_map(grid_statements(second)[0], (tirx.Var, renamed))
    grids = [BoundGrid.of(last), BoundGrid.of(read)]
    shape = ChannelGroups.of(channels, max(prod(_inner_extents(grid)) for grid in grids), profile)
    if shape is None:
        return None
    statements = [*before, _by_channel(grids, shape)]
    return make_function([*first.params, tiles], statements, [*scratch_of(first)], first.attrs)


def take_over(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function without its first grid: its first parameter is the tiles, as `hand_over` made them."""
    tiles = _tiles(function)
    scratch = [buffer for buffer in scratch_of(function) if not buffer.same_as(tiles)]
    return make_function([tiles, *[*function.params][1:]], grid_statements(function)[1:], scratch, function.attrs)


def _tiles(function: tirx.PrimFunc) -> Any:
    return next(buffer for buffer in scratch_of(function) if buffer.name == TILES)


def _by_channel(grids: Sequence[BoundGrid], shape: ChannelGroups) -> tirx.For:
    """Grids over channels, rows and vectors as one whose work-groups do all of each grid for their channels."""
    group, item = tirx.Var("group", "int32"), tirx.Var("item", "int32")
    steps: list[tirx.Stmt] = []
    for grid in grids:
        steps += [tirx.Evaluate(_barrier())] if steps else []
        steps.append(_share(grid, shape, group, item))
    return make_grid((group, shape.groups), [(item, shape.items, "threadIdx.x")], tirx.SeqStmt(steps))


def _share(grid: BoundGrid, shape: ChannelGroups, group: tirx.Var, item: tirx.Var) -> tirx.Stmt:
    """What a grid does for the channels of a group, shared among its items."""
    rows, columns = _inner_extents(grid)
    tasks = rows * columns
    channel = group * shape.of_group + tirx.truncdiv(item, tasks)
    rest = tirx.truncmod(item, tasks)
    indices = (channel, tirx.truncdiv(rest, columns), tirx.truncmod(rest, columns))
    values = [value for axis, index in zip(grid.axes, indices, strict=True) for value in _split(axis, index)]
    work = bind(values, grid.body)
    if shape.channels % shape.of_group:
        work = tirx.IfThenElse(channel < shape.channels, work, None)
    if shape.of_group * tasks < shape.items:
        work = tirx.IfThenElse(item < shape.of_group * tasks, work, None)
    return work


def _inner_extents(grid: BoundGrid) -> tuple[int, int]:
    """Of a grid over channels, rows and vectors, rows and vectors, those included that no work-item has."""
    _, rows, columns = (prod(_extents(axis)) for axis in grid.axes)
    return rows, columns


def _extents(axis: Axis) -> tuple[int, int]:
    """Work-groups along an axis, and work-items of each."""
    groups, items = axis
    return int(groups.extent), 1 if items is None else int(items.extent)


def _split(axis: Axis, index: Any) -> list[tuple]:
    """The variables of an axis, with what they are at an index along it."""
    (groups, items), (_, size) = axis, _extents(axis)
    if items is None:
        return [(groups.loop_var, index)]
    return [(groups.loop_var, tirx.truncdiv(index, size)), (items.loop_var, tirx.truncmod(index, size))]


def _barrier() -> Any:
    """What work-items of a group wrote is there for all of them."""
    return tirx.call_extern("int32", "barrier", tirx.call_extern("int32", "CLK_GLOBAL_MEM_FENCE + ", 0))
