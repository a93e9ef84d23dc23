"""A graph run layer by layer on many inputs at once, in float32; tensors go where nothing reads them any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.reference import run_layer


def torch_weights(graph: Graph) -> dict[str, torch.Tensor]:
    """The graph's weights as float32 tensors."""
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in graph.weights.items()}


def forward(layer: Layer, inputs: list[torch.Tensor], weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One layer on inputs (N, C, H, W), as in Layer.inputs."""
    with torch.inference_mode():
        return run_layer(layer, inputs, dict(weights))


def with_last_reads(graph: Graph) -> Iterator[tuple[Layer, list[str]]]:
    """Each layer in order, with the tensors that nothing reads after it, its own included."""
    last = {graph.input: 0} | {layer.name: index for index, layer in enumerate(graph.layers)}
    last |= {name: index for index, layer in enumerate(graph.layers) for name in layer.inputs}
    for index, layer in enumerate(graph.layers):
        yield layer, [name for name, at in last.items() if at == index]


def run_outputs(graph: Graph, inputs: np.ndarray, batch: int = 8) -> list[torch.Tensor]:
    """The graph's outputs for (N, *graph.input_shape) float32, in order, each (N, C, H, W)."""
    weights, batches = torch_weights(graph), []
    for first in range(0, len(inputs), batch):
        held = {graph.input: torch.from_numpy(inputs[first : first + batch])}
        for layer, finished in with_last_reads(graph):
            held[layer.name] = forward(layer, [held[name] for name in layer.inputs], weights)
            for name in set(finished) - set(graph.outputs):
                del held[name]
        batches.append([held[name] for name in graph.outputs])
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]
