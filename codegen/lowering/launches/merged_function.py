"""One function that does what several do, none of which waits for another: their kernels side by side in one launch.

Grid by grid, the work-groups of each function follow those of the one before it, and a work-group finds by its number
whose code it runs, so that no work-item does anything else than it did. A launch costs a phone 5 to 20 us whatever it
computes, and small layers leave cores of a GPU idle that the work-groups of another one fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tvm import tirx

from codegen.lowering.launches.bound_grid import BoundGrid, bind, grids_of, make_function, make_grid, places, scratch_of


def merge_functions(functions: Sequence[tirx.PrimFunc], written: int, order: Sequence[int]) -> tirx.PrimFunc:
    """One function of several that have equally many grids.

    Args:
        functions: each with buffers as parameters; no two are one object.
        written: how many of each function's parameters, the last ones, it writes.
        order: of what they write, function by function, the numbers in the order in which they stand at the end of the
            merged function's parameters; before that stand the other parameters, function by function.

    Raises:
        ValueError: another number of grids.
    """
    grids = [_merge_grids(beside) for beside in zip(*map(grids_of, functions), strict=True)]
    scratch = [buffer for function in functions for buffer in scratch_of(function)]
    parameters = [[*function.params] for function in functions]
    read = [parameter for own in parameters for parameter in own[:-written]]
    outputs = [parameter for own in parameters for parameter in own[-written:]]
    return make_function([*read, *(outputs[number] for number in order)], grids, scratch, functions[0].attrs)


def _merge_grids(grids: Sequence[BoundGrid]) -> tirx.For:
    """One grid whose work-groups are those of all, one after the other."""
    alike = len({(grid.group_shape, grid.item_tags) for grid in grids}) == 1
    shape = grids[0].group_shape if alike else (max(prod(grid.group_shape) for grid in grids),)
    tags = grids[0].item_tags if alike else ("threadIdx.x",)
    group = tirx.Var("group", "int32")
    items = [tirx.Var(f"item{number}", "int32") for number in range(len(shape))]
    firsts = [sum(grid.group_count for grid in grids[:number]) for number in range(len(grids))]
    body = None
    for grid, first in reversed([*zip(grids, firsts, strict=True)]):
        # never below 0, which TVM then knows of all that is computed from it
        number = tirx.max(group - first, 0) if first else group
        if alike:
            values = [(loop.loop_var, item) for loop, item in zip(grid.items, items, strict=True)]
            work = grid.body
        else:
            values = [*places(grid.items, items[0])]
            work = _of_first(prod(grid.group_shape), shape[0], items[0], grid.body)
        run = bind([*places(grid.groups, number), *values], work)
        body = run if body is None else tirx.IfThenElse(group < first + grid.group_count, run, body)
    count = firsts[-1] + grids[-1].group_count
    return make_grid((group, count), [*zip(items, shape, tags, strict=True)], body)


def _of_first(count: int, whole: int, item: tirx.Var, body: tirx.Stmt) -> tirx.Stmt:
    """`body` for the first `count` work-items of a group of `whole`."""
    return body if count == whole else tirx.IfThenElse(item < count, body, None)
