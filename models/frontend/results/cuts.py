"""Post-processing that depends on data is found, and what it reads is given instead.

An operator depends on data where it makes indices, truths or counts of numbers (argmax, comparison, nonzero), or orders
and picks numbers by their size (topk, sort, NMS). What follows it is post-processing where it has no weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import fx

from models.frontend.origin import origin_of
from models.frontend.refusal import Refusal
from models.frontend.results.views import operator_of, peel_views

#: operators that depend on data though all that is used of them may be numbers
_PICKING = frozenset({"topk", "sort", "msort", "kthvalue", "median", "nanmedian", "mode", "quantile", "nms", "unique"})
_WEIGHTED = frozenset(
    {"conv1d", "conv2d", "conv3d", "convolution", "conv_transpose2d", "linear", "addmm", "batch_norm"}
)


@dataclass(frozen=True)
class PostProcessing:
    """The end of a network that no kernel does.

    Attributes:
        first: the operator that depends on the data and comes first.
        nodes: it, and all that depends on it or on others like it.
        reads: the maps that these read of the rest of the network, in order; what they are views of, where they are.
    """

    first: fx.Node
    nodes: Collection[fx.Node]
    reads: list[fx.Node]


def find_post_processing(
    live: Iterable[fx.Node], varying: Collection[fx.Node], known: Collection[str]
) -> PostProcessing | None:
    """The post-processing of a network, or None.

    Args:
        live: the nodes that the outputs depend on, in order.
        varying: those of them that depend on the input, itself included.
        known: operators that have layers, and so never end a network.

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
        elif node.op == "call_function" and _depends_on_data(node, varying, known):
            first = first or node
            after[node] = None
    if first is None:
        return None
    reads = [node for node in ordered if node not in after and any(user in after for user in node.users)]
    maps = dict.fromkeys(peel_views(node)[0] for node in reads)
    return PostProcessing(first, after.keys(), _fewest([node for node in ordered if node in maps]))


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


def _depends_on_data(node: fx.Node, varying: Collection[fx.Node], known: Collection[str]) -> bool:
    operator = operator_of(node)
    if operator in _PICKING:
        return True
    if operator in known and not isinstance(node.meta.get("val"), tuple | list):
        return False
    reads_numbers = any(_is_floating(parent.meta.get("val")) for parent in node.all_input_nodes if parent in varying)
    return reads_numbers and any(not _is_floating(value) for value in _used_results(node))


def _used_results(node: fx.Node) -> list[object]:
    """What a node makes; of several results, those that are read."""
    value = node.meta.get("val")
    if not isinstance(value, tuple | list):
        return [value]
    numbers = [user.args[1] for user in node.users if getattr(user.target, "__name__", "") == "getitem"]
    return [value[number] for number in numbers if isinstance(number, int)]


def _is_floating(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()
