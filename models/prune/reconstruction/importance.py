"""Where in a layer, and in which of its filters, an error reaches the network's outputs most.

With g = J' v, the gradient of outputs times random signs v, the mean of g^2 over v is the squared norm of J's columns
(Hutchinson 1990): what an error there adds to the outputs' squared error, to first order. One v serves, since the
answers are averages over many positions or filters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.reference import run_epilogue, run_layer
from models.prune.reconstruction.streams import torch_weights


@dataclass(frozen=True, eq=False)
class Importance:
    """Of one layer before its epilogue.

    Attributes:
        positions: (N, height, width), mean over filters; their mean is 1.
        filters: (filters,), mean over positions and inputs; their mean is 1.
    """

    positions: torch.Tensor
    filters: torch.Tensor


def importances(
    graph: Graph, layers: Iterable[str], inputs: np.ndarray, seed: int = 0, batch: int = 2
) -> dict[str, Importance]:
    """The importance of convolutions, by name, on (N, *graph.input_shape) float32."""
    weights, names = torch_weights(graph), set(layers)
    generator = torch.Generator().manual_seed(seed)
    positions: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    filters = {name: torch.zeros(graph.layer(name).out_shape[0]) for name in names}
    for first in range(0, len(inputs), batch):
        with torch.enable_grad():
            linear, outputs = _run(graph, torch.from_numpy(inputs[first : first + batch]), weights, names)
            terms = [(_scaled_signs(output.detach(), generator) * output).sum() for output in outputs]
            probe = torch.stack(terms).sum()
            gradients = torch.autograd.grad(probe, list(linear.values()), allow_unused=True)
        for (name, tensor), gradient in zip(linear.items(), gradients, strict=True):
            squares = torch.zeros_like(tensor) if gradient is None else gradient.square()
            positions[name].append(squares.mean(dim=1))
            filters[name] += squares.sum(dim=(0, 2, 3))
    return {name: Importance(_relative(torch.cat(positions[name])), _relative(filters[name])) for name in names}


def _relative(values: torch.Tensor) -> torch.Tensor:
    return values / values.mean().clamp(min=1e-30)


def _scaled_signs(output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random signs over the output's deviation, so that outputs count alike."""
    signs = torch.randint(0, 2, output.shape, generator=generator).float() * 2 - 1
    spread = (output - output.mean(dim=(0, 2, 3), keepdim=True)).square().sum().sqrt().clamp(min=1e-12)
    return signs / spread


def _run(
    graph: Graph, x: torch.Tensor, weights: dict[str, torch.Tensor], names: set[str]
) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """({layer: its result before the epilogue}, outputs), in autograd's graph from the first of `names` on."""
    held, linear = {graph.input: x}, {}
    for layer in graph.layers:
        inputs = [held[name] for name in layer.inputs]
        if layer.name not in names:
            held[layer.name] = run_layer(layer, inputs, weights)
            continue
        linear[layer.name] = _without_epilogue(layer, inputs, weights)
        if not linear[layer.name].requires_grad:
            linear[layer.name].requires_grad_()
        held[layer.name] = run_epilogue(layer, linear[layer.name], inputs[layer.operands :])
    return linear, [held[name] for name in graph.outputs]


def _without_epilogue(layer: Layer, inputs: list[torch.Tensor], weights: dict[str, torch.Tensor]) -> torch.Tensor:
    operands = layer.operands
    plain = replace(layer, epilogue=(), inputs=layer.inputs[:operands], in_shapes=layer.in_shapes[:operands])
    return run_layer(plain, inputs[:operands], weights)
