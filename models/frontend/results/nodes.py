"""Nodes of an exported program: what each needs, and the sizes of what it makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import fx

from fleetpose.errors import UsageError
from models.frontend.origin import origin_of
from models.frontend.refusal import Refusal
from models.frontend.results.views import operator_of
from models.graph.layer import Shape


def ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """The nodes, and all that they are made of."""
    seen: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(node.all_input_nodes)
    return seen


def sizes_of(node: fx.Node) -> tuple[int, ...]:
    """The shape of a call's result, of the first of several; () where it has none that is fixed."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) and value else value
    sizes = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    return sizes if all(isinstance(size, int) for size in sizes) else ()


def is_bytes(value: Any) -> bool:
    """Whether it is a tensor of whole numbers from 0 to 255."""
    return isinstance(value, torch.Tensor) and value.dtype == torch.uint8


def is_fixed(value: Any) -> bool:
    """Whether a tensor's sizes are numbers; so of what is no tensor."""
    return not isinstance(value, torch.Tensor) or all(isinstance(size, int) for size in value.shape)


def shape_of(node: fx.Node, what: str) -> Shape:
    """(C, H, W) of what a node makes. Raises UsageError for the input, and Refusal for a call, of another form."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) else value
    sizes = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    if len(sizes) == 4 and sizes[0] == 1 and all(isinstance(size, int) for size in sizes):
        return int(sizes[1]), int(sizes[2]), int(sizes[3])
    inside = node.op == "call_function"
    if len(sizes) == 4 and sizes[0] != 1:
        why = f"{what} has batch {sizes[0]}; only batch 1 is supported"
        mend = "keep what belongs to one picture in its channels, or run the network once for each picture"
    else:
        why = f"{what} has shape {sizes}; only (1, C, H, W) of fixed size is supported"
        mend = "reshape it before"
    if inside:
        raise Refusal(operator_of(node) or str(node.target), origin_of(node), why, mend)
    picture = "one picture, (1, C, H, W)" if len(sizes) == 4 and sizes[0] != 1 else "one picture of a fixed size"
    raise UsageError(f"{why}; export it with {picture}")
