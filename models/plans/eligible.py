"""Which convolutions of a network may be pruned at all, and why the others stay dense; torch-free."""

from __future__ import annotations

from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.tied import first_uses, tied_layers
from models.plans.sparsity import refuse_any

#: why convolutions stay dense though a sparsity may fit them
FIRST, HEAD = "the first convolution", "an output head"
COMPUTED = "its weight is computed of others"
TIED = "its weight is that of a layer that stays dense"


def prunable(graph: Graph) -> list[Layer]:
    """Every convolution that `why_dense` has nothing against, in order; of tied ones the first stands for all."""
    first = first_uses(graph.layers)
    dense = reasons_to_stay_dense(graph)
    return [layer for layer in graph.layers if first.get(layer.name) == layer.name and dense[layer.name] is None]


def reasons_to_stay_dense(graph: Graph) -> dict[str, str | None]:
    """Why each convolution is never pruned, by name; None where it may be. What holds for one of several tied layers
    holds for all of them."""
    reasons = {layer.name: why_dense(graph, layer) for layer in graph.layers if layer.op == "conv"}
    for names in tied_layers(graph.layers).values():
        held = next((name for name in names if reasons[name] is not None), None)
        if held is not None:
            also = f"{TIED}: {reasons[held]}"
            reasons |= {name: reasons[name] or also for name in names}
    return reasons


def why_dense(graph: Graph, layer: Layer) -> str | None:
    """Why a convolution is never pruned; None where it may be, as far as layers that are tied to it may."""
    if is_first(graph, layer):
        return FIRST
    if makes_maps(graph, layer):
        return HEAD
    return COMPUTED if layer.parameter == "" else refuse_any(layer)


def is_first(graph: Graph, layer: Layer) -> bool:
    """Whether a convolution reads the network's input, or is the first one there is."""
    first = next(other.name for other in graph.layers if other.op == "conv")
    return layer.name == first or graph.input in layer.inputs


def makes_maps(graph: Graph, layer: Layer) -> bool:
    """Whether a layer makes the network's outputs, or what earlier stages answer: as many channels, no activation."""
    channels = {graph.shape(name)[0] for name in graph.outputs}
    return layer.name in graph.outputs or (not layer.epilogue and layer.out_shape[0] in channels)
