"""Graph: a network as fused layers with their weights; torch-free. `models.frontend.trace` makes one from a torch
module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from fleetpose.errors import UsageError, unknown_name
from models.graph.answer import Answer
from models.graph.layer import Layer, Shape
from models.graph.tied import counted_params

#: what of a layer's arithmetic is wider than the network's type: nothing, its sums, or its products and sums
Widened = Literal["", "sums", "products"]


@dataclass(frozen=True)
class Graph:
    """A network at one input size.

    Attributes:
        name: the network's name.
        input: name of the one input tensor; float32, (1, *input_shape).
        input_shape: (channels, height, width).
        outputs: names of the tensors the network returns, in order.
        layers: in an order in which every layer follows what it reads.
        weights: "<layer>.weight" float32 (out, in / groups, kh, kw) and, where Layer.bias, "<layer>.bias" (out,). Of a
            "normalise" both have its reduction's `affine_shape`, if it has any. Of a "constant" "<layer>.value",
            (C, H, W).
        answer: how what the module returns comes from the outputs.
        widened: of convolutions that half precision does not suffice for, as photographs showed, what is float32; None:
            none were looked at.
    """

    name: str
    input: str
    input_shape: Shape
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    weights: Mapping[str, np.ndarray]
    answer: Answer = field(default_factory=Answer)
    widened: Mapping[str, Widened] | None = None

    def layer(self, name: str) -> Layer:
        """The layer called `name`. Raises KeyError."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    def shape(self, tensor: str) -> Shape:
        """(C, H, W) of the input or of a layer's output."""
        return self.input_shape if tensor == self.input else self.layer(tensor).out_shape

    @cached_property
    def structure(self) -> str:
        """SHA-256 of all but the name and the weights: of a network that is read anew, whether it is still the same."""
        said = (self.input, self.input_shape, self.outputs, self.layers)
        return hashlib.sha256(repr(said).encode()).hexdigest()

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Weights and biases after folding; those that several layers share are counted once."""
        return sum(counted_params(self.layers).values())


def check_finite_weights(graph: Graph) -> None:
    """Raise UsageError for the first layer whose weights or bias, batch norms folded in, are not finite."""
    for name, value in graph.weights.items():
        bad = 0 if name.endswith(".value") else int((~np.isfinite(value)).sum())
        if bad:
            raise UsageError(
                f"{graph.name}: {name} has {bad} NaN or infinite values of {value.size} once batch norms are folded in"
            )


def check_layer_names(names: Iterable[str], *graphs: Graph) -> None:
    """Raise UsageError, with "did you mean", for a name that no layer of the graphs has."""
    known = {layer.name for graph in graphs for layer in graph.layers}
    for name in names:
        if name not in known:
            raise unknown_name("layer", name, known)
