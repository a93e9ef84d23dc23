"""One-shot pruning: a plan's masks multiplied onto a network's weights, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.graph.network import Graph
from models.graph.tied import tied_layers
from models.plans.plan import Plan
from models.prune.masks.build import mask


def prune_graph(graph: Graph, plan: Plan) -> Graph:
    """The graph with the zeros of the plan; the given one stays as it is. Raises UsageError where they do not fit."""
    plan.check(graph.layers)
    weights, sparsities = dict(graph.weights), plan.sparsities
    tied = tied_layers(graph.layers)
    followers = {name for names in tied.values() for name in names[1:]}
    for layer in (name for name in sparsities if name not in followers):
        names = [f"{name}.weight" for name in tied.get(layer, (layer,))]
        kept = mask(_magnitude([weights[name] for name in names]), sparsities[layer])
        weights |= {name: weights[name] * kept for name in names}
    return replace(graph, weights=weights)


def _magnitude(weights: Sequence[np.ndarray]) -> np.ndarray:
    """What stands for the magnitude of a weight that is used several times, perhaps scaled differently: squares add
    up."""
    return (
        weights[0]
        if len(weights) == 1
        else np.sqrt(np.sum([np.square(weight, dtype=np.float64) for weight in weights], axis=0))
    )
