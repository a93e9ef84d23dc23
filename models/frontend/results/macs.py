"""Multiply-adds of an operator's call that no layer counts: those that torch's own counter of operations gives."""

from __future__ import annotations

import torch
from torch import fx
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import flop_registry

from models.frontend.results.views import operator_of


def macs_of(node: fx.Node) -> int:
    """Multiply-adds of a call; 0 of what torch does not count."""
    if operator_of(node) in ("linear", "conv1d", "conv2d", "conv3d"):
        weight = node.args[1].meta["val"]  # type: ignore[union-attr]
        return int(node.meta["val"].numel() * weight[0].numel())
    formula = flop_registry.get(getattr(node.target, "overloadpacket", None))
    if formula is None:
        return 0
    arguments, named = fx.map_arg((node.args, node.kwargs), lambda argument: argument.meta.get("val"))
    values = pytree.tree_leaves((arguments, named, node.meta.get("val")))
    if not all(isinstance(side, int) for value in values if isinstance(value, torch.Tensor) for side in value.shape):
        return 0
    return int(formula(*arguments, **named, out_val=node.meta.get("val"))) // 2
