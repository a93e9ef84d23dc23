"""Outputs that are views of a map: reshapes and permutations at a network's very end are made on this machine."""

from __future__ import annotations

import torch
from torch import fx

from models.graph.answer import View, ViewStep

_RESHAPES = ("view", "reshape", "_unsafe_view", "view_copy", "flatten", "unflatten", "squeeze", "unsqueeze")
_SAME = ("contiguous", "clone", "alias", "detach")
_PERMUTES = ("permute", "transpose", "swapaxes", "swapdims", "t", "movedim", "moveaxis")


def peel_views(node: fx.Node) -> tuple[fx.Node, View]:
    """The node that `node` is a view of, and the steps from that one's tensor to its own."""
    steps: list[ViewStep] = []
    while (step := _step(node)) is not None:
        steps = [*step, *steps]
        node = node.all_input_nodes[0]
    return node, tuple(steps)


def operator_of(node: fx.Node) -> str:
    """The name of the operator that a node calls, e.g. "conv2d"; "" of what calls none of torch's."""
    packet = getattr(node.target, "overloadpacket", None)
    return getattr(packet, "__name__", "") if node.op == "call_function" else ""


def _step(node: fx.Node) -> list[ViewStep] | None:
    """What a node does to the one tensor that it reads; None where that is no view."""
    operator, after = operator_of(node), node.meta.get("val")
    if len(node.all_input_nodes) != 1 or not isinstance(after, torch.Tensor):
        return None
    before = node.all_input_nodes[0].meta.get("val")
    if not isinstance(before, torch.Tensor) or not _is_static(before) or not _is_static(after):
        return None
    if operator in _SAME:
        return []
    if operator in _RESHAPES:
        return [ViewStep("reshape", tuple(int(side) for side in after.shape))]
    return [ViewStep("transpose", _axes(node, before.ndim))] if operator in _PERMUTES else None


def _axes(node: fx.Node, rank: int) -> tuple[int, ...]:
    """Which axis each axis of a permutation's result was, found by permuting axes of different lengths."""
    sides = torch.empty(tuple(range(1, rank + 1)), device="meta")
    permuted = node.target(sides, *node.args[1:], **node.kwargs)  # type: ignore[operator]
    return tuple(side - 1 for side in permuted.shape)


def _is_static(tensor: torch.Tensor) -> bool:
    return all(isinstance(side, int) for side in tensor.shape)
