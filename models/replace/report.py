"""Advice and account for people (tables) and programs (JSON); torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleetpose import cli
from fleetpose.codec import encode
from models.graph.layer import Shape
from models.replace.values import Advice, OperatorCost


def to_json(
    model: str, shape: Shape, advice: Sequence[Advice], costs: tuple[OperatorCost, OperatorCost], out: str | None = None
) -> dict[str, Any]:
    """Everything `print_report` shows, ungrouped."""
    return {
        "model": model,
        "input_shape": list(shape),
        "before": encode(costs[0]),
        "after": encode(costs[1]),
        "advice": [item.to_json() for item in advice],
        "out": out,
    }


def print_report(
    model: str, shape: Shape, advice: Sequence[Advice], costs: tuple[OperatorCost, OperatorCost], *, every: bool = False
) -> None:
    """Print the replacements, alike ones in one row unless `every`, then the whole network before and after."""
    groups: dict[tuple[Any, ...], list[Advice]] = {}
    for index, item in enumerate(advice):
        swap = item.replacement
        key = (swap.kind, swap.before, swap.after, item.planned, item.why if item.saved_secs is None else "")
        groups.setdefault((*key, index) if every else key, []).append(item)
    if groups:
        cli.print_table(
            ("", "kind", "before", "after", "MMACs", "kparams", "sees", "where", "why"),
            [_row(group) for group in groups.values()],
        )
        print()
    print(f"{model} at {shape[1]}x{shape[2]}, {sum(item.planned for item in advice)} replacements:")
    cli.print_table(("", "before", "after", "change"), _totals(*costs))


def _row(group: list[Advice]) -> tuple[str, ...]:
    first = group[0]
    before, after, swap = first.before, first.after, first.replacement
    macs = sum(item.after.macs - item.before.macs for item in group)
    params = sum(item.after.params - item.before.params for item in group)
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    sees = "" if swap.kind == "activation" else f"{field(before)} -> {field(after)}"
    mark = "replace" if first.planned else "refused" if first.refused else "leave"
    changes = ("", "", "") if first.refused else (f"{macs / 1e6:+.1f}", f"{params / 1e3:+.1f}", sees)
    return (mark, swap.kind, swap.before, swap.after, *changes, swap.place + more, first.why)


def field(cost: OperatorCost) -> str:
    """A receptive field in words."""
    return "whole input" if cost.receptive_field is None else "{}x{}".format(*cost.receptive_field)


def _totals(before: OperatorCost, after: OperatorCost) -> list[tuple[str, ...]]:
    rows = [
        _total("GMACs", before.macs / 1e9, after.macs / 1e9, 3),
        _total(
            "G multiplications (Winograd where legal)", before.multiplications / 1e9, after.multiplications / 1e9, 3
        ),
        _total("M parameters", before.params / 1e6, after.params / 1e6, 3),
        _total("Winograd-legal layers", before.winograd_layers, after.winograd_layers, 0),
        _total("M elements through smooth activations", before.smooth / 1e6, after.smooth / 1e6, 3),
        ("receptive field", field(before), field(after), ""),
    ]
    if before.secs is not None and after.secs is not None:
        rows.append(_total("ms", 1e3 * before.secs, 1e3 * after.secs, 3))
    return rows


def _total(name: str, before: float, after: float, digits: int) -> tuple[str, ...]:
    return name, f"{before:.{digits}f}", f"{after:.{digits}f}", f"{after - before:+.{digits}f}"
