"""A plan applied to a network that is to be built: every layer it makes sparse must have the zeros it speaks of."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from codegen.kernels.pack import departure
from fleetpose.errors import UsageError
from models.graph.network import Graph
from models.plans.plan import Plan
from models.prune.oneshot import prune_graph

log = logging.getLogger("codegen.lowering.planned")

#: layers that a message names
MOST_NAMED = 4


def planned_graphs(graphs: Sequence[Graph], plan: Plan, prune: bool = False) -> tuple[list[Graph], bool]:
    """The graphs of one network with the zeros of `plan`, and whether they had to be pruned for it.

    Args:
        graphs: the network at each input size.
        plan: names every convolution of the network.
        prune: where weights do not follow the plan, remove the smallest ones at one go; a warning says so.

    Raises:
        UsageError: the plan is of another network, or, without `prune`, weights that do not follow it.
    """
    for graph in graphs:
        plan.check(graph.layers)
    weights = graphs[0].weights
    reasons = {name: departure(weights[f"{name}.weight"], sparsity) for name, sparsity in plan.sparsities.items()}
    wrong = {name: reason for name, reason in reasons.items() if reason is not None}
    if not wrong:
        return list(graphs), False
    names = ", ".join([*wrong][:MOST_NAMED]) + (
        f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
    )
    if not prune:
        first = next(iter(wrong.values()))
        raise UsageError(f"the weights of {names} do not have the plan's zeros ({first}); prune them, or give --prune")
    log.warning("pruned at one go, without training, which costs accuracy: %s", names)
    return [prune_graph(graph, plan) for graph in graphs], True
