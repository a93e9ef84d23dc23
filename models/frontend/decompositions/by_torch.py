"""What we do not read, torch may write with others: its own decompositions of the operators that a program has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from torch import fx
from torch._decomp import decomposition_table
from torch.export import ExportedProgram

from models.frontend.results.cuts import picks_by_value
from models.frontend.results.views import operator_of
from models.graph.foreign.operators import OPERATORS

#: decompositions of decompositions that are looked at
MOST_ROUNDS = 4


def torch_decompositions(program: ExportedProgram, known: Collection[str]) -> dict[Any, Callable[..., Any]]:
    """How torch writes those operators of a program that are not `known`, do not fall back, and depend on no data."""
    unread = {node.target for node in program.graph.nodes if node.op == "call_function" and _is_unread(node, known)}
    return {target: decomposition for target in unread if (decomposition := _decomposition(target))}


def _is_unread(node: fx.Node, known: Collection[str]) -> bool:
    target: Any = node.target
    operator = operator_of(node)
    if not operator or operator in known or f"{operator}.{target._overloadname}" in OPERATORS:
        return False
    read = [parent.meta.get("val") for parent in node.all_input_nodes]
    return not picks_by_value(operator, read, node.meta.get("val"))


def _decomposition(target: Any) -> Callable[..., Any] | None:
    """Torch's own function for an operator; not those that write it with what is below its operators."""
    known = decomposition_table.get(target)
    if known is not None and not known.__module__.startswith(("torch._refs", "torch._prims")):
        return known
    return None
