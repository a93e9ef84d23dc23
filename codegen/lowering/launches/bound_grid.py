"""BoundGrid: one grid of a scheduled function taken apart into the work-items that it has and what they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import s_tir, tirx

from codegen.kernels.builder import grid_statements

#: along an axis of a grid: the loop over work-groups, and over the items of one, None where it has but one
Axis = tuple[tirx.For, tirx.For | None]


@dataclass(frozen=True)
class BoundGrid:
    """One grid of a function.

    Attributes:
        groups, items: its loops over work-groups, and over the work-items of one, outermost first.
        body: what a work-item does.
    """

    groups: tuple[tirx.For, ...]
    items: tuple[tirx.For, ...]
    body: tirx.Stmt

    @classmethod
    def of(cls, statement: tirx.Stmt) -> BoundGrid:
        loops = []
        while isinstance(statement, tirx.For) and statement.thread_binding is not None:
            loops.append(statement)
            statement = statement.body
        groups = tuple(loop for loop in loops if _tag(loop).startswith("blockIdx"))
        return cls(groups, tuple(loop for loop in loops if loop not in groups), statement)

    @property
    def group_count(self) -> int:
        return prod(int(loop.extent) for loop in self.groups)

    @property
    def group_shape(self) -> tuple[int, ...]:
        """Work-items of a work-group along each axis."""
        return tuple(int(loop.extent) for loop in self.items)

    @property
    def item_tags(self) -> tuple[str, ...]:
        """What the axes of a work-group are called: "threadIdx.x"."""
        return tuple(_tag(loop) for loop in self.items)

    @property
    def axes(self) -> list[Axis]:
        """The loops over the work-groups along each axis of the grid, outermost first, and over a group's items along
        it, if there are several."""
        of_axis = {_tag(loop)[-1]: loop for loop in self.items}
        return [(loop, of_axis.get(_tag(loop)[-1])) for loop in self.groups]


def grids_of(function: tirx.PrimFunc) -> list[BoundGrid]:
    return [BoundGrid.of(statement) for statement in grid_statements(function)]


def scratch_of(function: tirx.PrimFunc) -> Iterator:
    """The buffers that a function's grids hand to each other."""
    body = function.body
    while not isinstance(body, tirx.SeqStmt | tirx.For):
        if isinstance(body, s_tir.SBlockRealize):
            yield from body.block.alloc_buffers
            body = body.block.body
        else:
            body = body.body


def make_function(parameters: Sequence, grids: Sequence[tirx.Stmt], scratch: Sequence, attrs: Any) -> tirx.PrimFunc:
    """A function that launches grids one after the other."""
    body = grids[0] if len(grids) == 1 else tirx.SeqStmt([*grids])
    return tirx.PrimFunc([*parameters], make_block("root", body, scratch), attrs=attrs)


def make_grid(groups: tuple[tirx.Var, int], items: Sequence[tuple[tirx.Var, int, str]], body: tirx.Stmt) -> tirx.For:
    """A grid of one axis of work-groups, (variable, extent), whose items have (variable, extent, tag) along each."""
    nest = make_block("kernel", body)
    for variable, extent, tag in reversed(items):
        nest = _bound_loop(variable, extent, tag, nest)
    return _bound_loop(*groups, "blockIdx.x", nest)


def make_block(name: str, body: tirx.Stmt, buffers: Sequence = ()) -> tirx.Stmt:
    return s_tir.SBlockRealize([], True, s_tir.SBlock([], [], [], name, body, alloc_buffers=[*buffers]))


def places(loops: Sequence[tirx.For], number: Any) -> Iterator[tuple]:
    """Each loop's variable with its value in turn `number` of all the loops' turns, the last loop's running fastest."""
    step = prod(int(loop.extent) for loop in loops)
    for at, loop in enumerate(loops):
        extent = int(loop.extent)
        step //= extent
        turns = number if step == 1 else tirx.truncdiv(number, step)
        yield loop.loop_var, turns if at == 0 else tirx.truncmod(turns, extent)


def bind(variables: Sequence[tuple], body: tirx.Stmt) -> tirx.Stmt:
    """`body` with variables that have values, (variable, value)."""
    return tirx.SeqStmt([*(tirx.Bind(variable, value) for variable, value in variables), body])


def _tag(loop: tirx.For) -> str:
    return loop.thread_binding.thread_tag


def _bound_loop(variable: tirx.Var, extent: int, tag: str, body: tirx.Stmt) -> tirx.For:
    binding = tirx.IterVar(None, tag, tirx.IterVar.ThreadIndex, tag)
    return tirx.For(variable, 0, extent, tirx.ForKind.THREAD_BINDING, body, binding)
