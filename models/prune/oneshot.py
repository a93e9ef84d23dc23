"""One-shot pruning: a plan's masks multiplied onto a network's weights, without any training."""

from __future__ import annotations

from dataclasses import replace

from models.graph.network import Graph
from models.plans.plan import Plan
from models.prune.masks.build import mask


def prune_graph(graph: Graph, plan: Plan) -> Graph:
    """The graph with the zeros of the plan; the given one stays as it is. Raises UsageError where they do not fit."""
    plan.check(graph.layers)
    weights = dict(graph.weights)
    for layer, sparsity in plan.sparsities.items():
        weight = weights[f"{layer}.weight"]
        weights[f"{layer}.weight"] = weight * mask(weight, sparsity)
    return replace(graph, weights=weights)
