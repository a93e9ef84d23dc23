"""Products of a map with a gate that need no pass over the map: the gate goes into the weights of who reads them.

A squeeze-excite multiplies a map (C, H, W) by a gate (C, 1, 1) that depends on the whole map, so the map's producer
cannot do it. The reader is nearly always one 1x1 convolution, and the sum over c of w[f, c] (g[c] x[c]) is that of
(w[f, c] g[c]) x[c]: with its weights multiplied by the gate it may read the map itself. That moves F x C weights, F
being its filters, in place of C x H x W elements, and leaves its kernel as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from models.graph.layer import Layer
from models.graph.network import Graph


@dataclass(frozen=True)
class FoldedGate:
    """A product of a map and a gate that is done on weights.

    Attributes:
        product: the name of the layer that multiplies; its tensor is never made.
        source, gate: the names of the map (C, H, W) and of the gate (C, 1, 1).
        reader: the name of the 1x1 convolution that reads the product, and nobody else does.
    """

    product: str
    source: str
    gate: str
    reader: str


def folded_gates(graph: Graph) -> Iterator[FoldedGate]:
    """The products of a graph that are worth doing on weights, in the order of its layers."""
    uses = Counter(name for layer in graph.layers for name in layer.inputs) + Counter(graph.outputs)
    readers = {layer.inputs[0]: layer for layer in graph.layers if layer.inputs}
    for layer in graph.layers:
        reader = readers.get(layer.name)
        if uses[layer.name] == 1 and _is_product(layer) and reader is not None and pays(layer, reader):
            source, gate = layer.inputs if layer.in_shapes[0] == layer.out_shape else layer.inputs[::-1]
            yield FoldedGate(layer.name, source, gate, reader.name)


def _is_product(layer: Layer) -> bool:
    """Whether a layer does nothing but multiply a map by a number for each channel."""
    steps = [step.kind for step in layer.epilogue]
    channels, height, width = layer.out_shape
    shapes = {(channels, height, width), (channels, 1, 1)}
    return layer.op == "elementwise" and steps == ["mul"] and height * width > 1 and {*layer.in_shapes} == shapes


def pays(product: Layer, reader: Layer) -> bool:
    """Whether a layer can have the gate in its weights, and has fewer weights than the product has elements."""
    if not reader.convolves or reader.kernel != (1, 1) or reader.groups > 1:
        return False
    if reader.stride != (1, 1) or reader.padding != (0, 0):
        return False
    _, height, width = product.out_shape
    return reader.out_shape[0] < height * width
