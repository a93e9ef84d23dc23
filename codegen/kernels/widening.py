"""What of a layer's arithmetic is float32 although the network is in half precision: nothing, its sums, or its products
too.

Half precision has 11 bits and ends at 65,504. A sum of K products of random signs, each partial sum rounded to it, ends
about u sqrt(K / 2) of its size away from the exact one, u being 2^-11: 1.6 % for K = 2,048. Where photographs were
looked at (`codegen.precision`) a graph says what its layers need; else the length of their sums tells. A layer's sparse
variants are computed as the dense one is.
"""

from __future__ import annotations

from math import prod

from models.graph.layer import Layer
from models.graph.network import Graph, Widened

#: products of a sum from which on it is float32 where no photographs were looked at
LONG_SUM = 2048
#: channels in and out from which on Winograd is taken untuned in half precision, and on CPUs
WINOGRAD_CHANNELS = 32


def widened_part(graph: Graph, layer: Layer, dtype: str) -> Widened:
    """What of a layer's arithmetic is float32 where its network is built in `dtype`, though that is narrower."""
    if dtype != "float16" or not layer.convolves:
        return ""
    if graph.widened is not None:
        return graph.widened.get(layer.name, "")
    return "sums" if products_of_sum(layer) >= LONG_SUM else ""


def products_of_sum(layer: Layer) -> int:
    """Products that a kernel adds up for a result; of Winograd's, whose sums are over channels alone, those of one."""
    return layer.weight_shape[1] if is_for_winograd(layer) else prod(layer.weight_shape[1:])


def is_for_winograd(layer: Layer) -> bool:
    """Whether Winograd's F(2 x 2, 3 x 3) computes a layer in half precision where it is dense and nothing was tuned."""
    return layer.winograd_legal and min(layer.in_shapes[0][0], layer.out_shape[0]) >= WINOGRAD_CHANNELS
