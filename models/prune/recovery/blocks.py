"""A graph cut into blocks of a few convolutions, each run on its own: what it reads, and what it makes for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.reference import run_layer

#: convolutions of a block; between these the cut goes where the fewest tensors cross it
LEAST_CONVOLUTIONS, MOST_CONVOLUTIONS = 2, 5

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class GraphBlock:
    """Consecutive layers of a graph.

    Attributes:
        layers: in order.
        reads: tensors that they read and earlier layers make, or the graph's input.
        makes: tensors of theirs that later layers read, or that are outputs of the graph.
    """

    layers: tuple[Layer, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]

    def run(self, inputs: Mapping[str, torch.Tensor], weights: Tensors) -> Tensors:
        """What the block makes of what it reads, by name."""
        held = {name: inputs[name] for name in self.reads}
        for layer in self.layers:
            held[layer.name] = run_layer(layer, [held[name] for name in layer.inputs], weights)
        return {name: held[name] for name in self.makes}


def cut_blocks(graph: Graph, least: int = LEAST_CONVOLUTIONS, most: int = MOST_CONVOLUTIONS) -> tuple[GraphBlock, ...]:
    """The blocks of a graph, in order; together they have every layer once.

    A residual unit of up to `most` convolutions is one block, since within it two tensors or more are needed later.
    """
    crossing = _crossing(graph)
    ends: list[int] = []
    start = 0
    while start < len(graph.layers):
        counts = _convolutions(graph.layers[start:])
        if counts[-1] < least + 1:
            ends.append(len(graph.layers))
            break
        places = [start + at for at, count in enumerate(counts, 1) if least <= count <= most]
        end = min(places, key=lambda at: (len(crossing[at]), -at))
        ends.append(end)
        start = end
    begins = [0, *ends[:-1]]
    return tuple(_block(graph, begin, end, crossing[end]) for begin, end in zip(begins, ends, strict=True))


def _convolutions(layers: Sequence[Layer]) -> list[int]:
    """How many convolutions the first 1, 2, ... layers have."""
    counts, total = [], 0
    for layer in layers:
        total += layer.op == "conv"
        counts.append(total)
    return counts


def _crossing(graph: Graph) -> list[tuple[str, ...]]:
    """For each place between layers, from before the first to behind the last: tensors made before that are read
    behind it, or are outputs."""
    last = {name: index for index, layer in enumerate(graph.layers) for name in layer.inputs}
    last |= dict.fromkeys(graph.outputs, len(graph.layers))
    tensors = [graph.input, *(layer.name for layer in graph.layers)]
    return [
        tuple(name for name in tensors[: place + 1] if last.get(name, -1) >= place)
        for place in range(len(graph.layers) + 1)
    ]


def _block(graph: Graph, begin: int, end: int, crossing: Sequence[str]) -> GraphBlock:
    layers = graph.layers[begin:end]
    own = {layer.name for layer in layers}
    reads = dict.fromkeys(name for layer in layers for name in layer.inputs if name not in own)
    return GraphBlock(layers, tuple(reads), tuple(name for name in crossing if name in own))
