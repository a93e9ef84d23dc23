"""Post-processing that depends on data is found, and what it reads is given instead.

An operator depends on data where it makes indices, truths or counts of numbers (argmax, comparison, nonzero), or orders
and picks numbers by their size (topk, sort, NMS). What follows it is post-processing where it has no weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from models.frontend.origin import origin_of
from models.frontend.refusal import Refusal
from models.frontend.results.stopping import Stop
from models.frontend.results.views import operator_of, peel_views

#: operators that depend on data though all that is used of them may be numbers
_PICKING = frozenset(
    [
        "topk",
        "sort",
        "msort",
        "kthvalue",
        "median",
        "nanmedian",
        "mode",
        "quantile",
        "nms",
        "unique",
        "nonzero",
        "masked_select",
        "_local_scalar_dense",
        "item",
        "is_nonzero",
        "equal",
    ]
)
#: operators that always make indices, too, which are hardly ever read
INDEXED_POOLS = frozenset({"max_pool2d_with_indices", "adaptive_max_pool2d"})
_WEIGHTED = frozenset(
    {"conv1d", "conv2d", "conv3d", "convolution", "conv_transpose2d", "linear", "addmm", "batch_norm"}
)


@dataclass(frozen=True)
class PostProcessing:
    """The end of a network that no kernel does.

    Attributes:
        op, module, line: the operator that depends on the data and comes first, and where, as of Cut.
        nodes: it, and all that depends on it or on others like it.
        reads: the maps that these read of the rest of the network, in order; what they are views of, where they are.
    """

    op: str
    module: str
    line: str
    nodes: Collection[fx.Node]
    reads: list[fx.Node]


def find_end(
    returned: list[fx.Node],
    live: Sequence[fx.Node],
    varying: Collection[fx.Node],
    known: Collection[str],
    with_truths: Collection[str],
) -> PostProcessing | None:
    """The post-processing of a network, or None; see `find_post_processing`.

    Operators that make truths, and choose by them, are layers where nothing else depends on the data and the network
    gives numbers, or where layers with weights follow them; else they belong to the post-processing.

    Args:
        returned: the nodes that the module returns.
        with_truths: `known`, and the operators that make truths and choose by them.
    """
    try:
        ended = find_post_processing(live, varying, known)
    except Refusal:
        return find_post_processing(live, varying, with_truths, truths=True)
    if ended and all(_is_floating(node.meta.get("val")) for node in returned if node in varying):
        return ended if find_post_processing(live, varying, with_truths, truths=True) else None
    return ended


def find_post_processing(
    live: Iterable[fx.Node], varying: Collection[fx.Node], known: Collection[str], truths: bool = False
) -> PostProcessing | None:
    """The post-processing of a network, or None.

    Args:
        live: the nodes that the outputs depend on, in order.
        varying: those of them that depend on the input, itself included.
        known: operators that have layers, and so never end a network.
        truths: whether truths that they make have layers, too.

    Raises:
        Refusal: layers with weights follow what depends on the data.
    """
    first: fx.Node | None = None
    after: dict[fx.Node, None] = {}
    ordered = [node for node in live if node in varying]
    for node in ordered:
        if any(parent in after for parent in node.all_input_nodes):
            if operator_of(node) in _WEIGHTED and first is not None:
                why = f"it depends on the data, and {operator_of(node)!r} in {origin_of(node)} follows"
                raise Refusal(operator_of(first), origin_of(first), why, "end the network before it")
            after[node] = None
        elif node.op == "call_function" and _depends_on_data(node, varying, known, truths):
            first = first or node
            after[node] = None
    if first is None:
        return None
    reads = [node for node in ordered if node not in after and any(user in after for user in node.users)]
    maps = _maps_behind(reads, varying)
    origin, kept = origin_of(first), _fewest([node for node in ordered if node in maps])
    return PostProcessing(operator_of(first), origin.path, origin.line, after.keys(), kept)


def end_at_stop(
    stop: Stop,
    returned: list[fx.Node],
    live: Iterable[fx.Node],
    varying: Collection[fx.Node],
    known: Collection[str],
) -> PostProcessing:
    """The post-processing of a module that was stopped where its Python depends on data, and returned what it had."""
    ordered = list(live)
    ended = find_post_processing(ordered, varying, known)
    after = set(ended.nodes) if ended else set()
    maps = _maps_behind([node for node in returned if node not in after and node in varying], varying)
    maps |= set(ended.reads) if ended else set()
    return PostProcessing(stop.op, "", stop.line, set(returned), _fewest([node for node in ordered if node in maps]))


def _maps_behind(reads: list[fx.Node], varying: Collection[fx.Node]) -> set[fx.Node]:
    """The maps, (1, C, H, W), that nodes are made of without weights: post-processing begins where they end."""
    maps: set[fx.Node] = set()
    waiting = list(reads)
    while waiting:
        node = peel_views(waiting.pop())[0]
        value: Any = node.meta.get("val")
        is_map = _is_floating(value) and value.ndim == 4 and value.shape[0] == 1
        if is_map or node.op != "call_function" or operator_of(node) in _WEIGHTED:
            maps.add(node)
        else:
            waiting += [parent for parent in node.all_input_nodes if parent in varying]
    return maps


def _fewest(reads: list[fx.Node]) -> list[fx.Node]:
    """Without what is made of others of them alone, nor the network's input, which is there anyway."""
    kept = list(reads)
    for node in reversed(reads):
        parents = [parent for parent in node.all_input_nodes if parent.op == "call_function"]
        if node.op == "placeholder" or (
            parents and operator_of(node) not in _WEIGHTED and all(parent in kept for parent in parents)
        ):
            kept.remove(node)
    return kept


def _depends_on_data(node: fx.Node, varying: Collection[fx.Node], known: Collection[str], truths: bool) -> bool:
    operator, value = operator_of(node), node.meta.get("val")
    cut = isinstance(value, tuple | list) or (not truths and getattr(value, "dtype", None) == torch.bool)
    if operator in known and not cut:
        return False
    read = [parent.meta.get("val") for parent in node.all_input_nodes if parent in varying]
    return picks_by_value(operator, read, _used_results(node))


def picks_by_value(operator: str, read: object, results: object) -> bool:
    """Whether an operator depends on the data: by its name, or because it makes others than floats of floats.

    read: what it reads, results: what it makes that is used; tensors, and what is none, nested.
    """
    values = [value for value in pytree.tree_leaves(results) if isinstance(value, torch.Tensor)]
    return operator in _PICKING or (
        any(_is_floating(value) for value in pytree.tree_leaves(read)) and not all(map(_is_floating, values))
    )


def _used_results(node: fx.Node) -> list[object]:
    """What a node makes; of several results, those that are read."""
    value = node.meta.get("val")
    if not isinstance(value, tuple | list):
        return [value]
    numbers = [user.args[1] for user in node.users if getattr(user.target, "__name__", "") == "getitem"]
    return [value[number] for number in numbers if isinstance(number, int)]


def _is_floating(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()
