"""Which convolutions of a network may be pruned at all, and why the others stay dense; torch-free."""

from __future__ import annotations

from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import refuse_any

#: why convolutions stay dense though a sparsity may fit them
FIRST, HEAD = "the first convolution", "an output head"


def prunable(graph: Graph) -> list[Layer]:
    """Every convolution that `why_dense` has nothing against, in order."""
    return [layer for layer in graph.layers if layer.op == "conv" and why_dense(graph, layer) is None]


def why_dense(graph: Graph, layer: Layer) -> str | None:
    """Why a convolution is never pruned; None where it may be."""
    if is_first(graph, layer):
        return FIRST
    return HEAD if makes_maps(graph, layer) else refuse_any(layer)


def is_first(graph: Graph, layer: Layer) -> bool:
    """Whether a convolution reads the network's input, or is the first one there is."""
    first = next(other.name for other in graph.layers if other.op == "conv")
    return layer.name == first or graph.input in layer.inputs


def makes_maps(graph: Graph, layer: Layer) -> bool:
    """Whether a layer makes the network's outputs, or what earlier stages answer: as many channels, no activation."""
    channels = {graph.shape(name)[0] for name in graph.outputs}
    return layer.name in graph.outputs or (not layer.epilogue and layer.out_shape[0] in channels)
