"""What a work-item does, counted in the function that a schedule wrote: a compiler's figures are of one turn of a loop,
and how many turns there are its text alone does not say.
"""

from __future__ import annotations

from typing import Any

import tvm


def multiply_adds(statement: Any) -> int | None:
    """Multiply-adds of one work-item of a grid: sums of a product and something else, of each lane of a vector.

    Of two ways that exclude each other the longer one counts. Loops that the grid spreads over work-items count once.

    Returns:
        None where a loop around some has an extent that is not known before the kernel runs.
    """
    if isinstance(statement, tvm.tirx.For):
        return _turns_of(statement)
    if isinstance(statement, tvm.tirx.BufferStore | tvm.tirx.Evaluate):
        return _in_expression(statement.value)
    counts = [multiply_adds(part) for part in parts_of(statement)]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    return max(known, default=0) if isinstance(statement, tvm.tirx.IfThenElse) else sum(known)


def alternatives(statement: Any) -> int:
    """Of how many parts of a grid's text each work-item runs one, as where several layers share a launch: a condition
    with two ways, of which the second may be such a condition again."""
    while not isinstance(statement, tvm.tirx.IfThenElse):
        parts = parts_of(statement)
        if len(parts) != 1:
            return 1
        statement = parts[0]
    return 1 if statement.else_case is None else 1 + alternatives(statement.else_case)


def _turns_of(loop: Any) -> int | None:
    inside = multiply_adds(loop.body)
    if not inside or loop.thread_binding is not None:
        return inside
    return inside * int(loop.extent) if isinstance(loop.extent, tvm.tirx.IntImm) else None


def parts_of(statement: Any) -> list[Any]:
    """The statements right below one."""
    if isinstance(statement, tvm.tirx.SeqStmt):
        return [*statement]
    if isinstance(statement, tvm.s_tir.SBlockRealize):
        return [statement.block.body]
    if isinstance(statement, tvm.tirx.IfThenElse):
        return [part for part in (statement.then_case, statement.else_case) if part is not None]
    return [statement.body] if hasattr(statement, "body") else []


def _in_expression(expression: Any) -> int:
    """Sums of a product in an expression, of each lane."""
    sides = [getattr(expression, side) for side in "ab" if hasattr(expression, side)]
    parts = sides or [*getattr(expression, "args", [])]
    count = sum(_in_expression(part) for part in parts)
    if isinstance(expression, tvm.tirx.Add) and any(isinstance(side, tvm.tirx.Mul) for side in sides):
        dtype = tvm.DataType(str(expression.ty))
        count += dtype.lanes if str(dtype).startswith("float") else 0
    return count
