"""Which convolutions of a network may be pruned at all; torch-free."""

from __future__ import annotations

from models.graph.layer import Layer
from models.graph.network import Graph


def prunable(graph: Graph) -> list[Layer]:
    """Every convolution of one group, but the first ones and those that make maps (see `makes_maps`), in order."""
    return [
        layer
        for layer in graph.layers
        if layer.op == "conv" and layer.groups == 1 and graph.input not in layer.inputs and not makes_maps(graph, layer)
    ]


def makes_maps(graph: Graph, layer: Layer) -> bool:
    """Whether a layer makes the network's outputs, or what earlier stages answer: as many channels, no activation."""
    channels = {graph.shape(name)[0] for name in graph.outputs}
    return layer.name in graph.outputs or (not layer.epilogue and layer.out_shape[0] in channels)
