"""What zeros in one layer do to a network's outputs with all else dense: the curves sensitivity and allocation read.

The measure is the output divergence (models.accuracy.divergence). It needs photographs, but nobody who annotates them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from models.accuracy.divergence import divergence
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.layerwise import (
    DEFAULTS,
    ReconstructionSettings,
    cross_moment,
    inputs_moment,
    name_tensors,
    solve_with,
)
from models.prune.reconstruction.problem import problem
from models.prune.reconstruction.selection import select
from models.prune.reconstruction.streams import forward, torch_weights, with_last_reads

Tensors = Mapping[str, torch.Tensor]


def layer_curves(
    graph: Graph,
    layers: Sequence[str],
    family: Sparsity,
    zeros: Sequence[float],
    fitted: np.ndarray,
    judged: np.ndarray,
    settings: ReconstructionSettings = DEFAULTS,
) -> Iterator[tuple[str, dict[float, float]]]:
    """Divergence by fraction of zeros, layer after layer, in the order of the graph.

    Args:
        layers: names of convolutions; those that cannot have any of the zeros have an empty curve.
        family: the sparsity of which `zeros` take the place of its own.
        fitted: (N, *graph.input_shape) float32: masks and weights are found on these.
        judged: others of that kind: the divergence is of these.
    """
    weights = torch_weights(graph)
    held = {graph.input: torch.from_numpy(judged)}
    for layer in graph.layers:
        held[layer.name] = forward(layer, [held[name] for name in layer.inputs], weights)
    generator = torch.Generator().manual_seed(settings.seed)
    fit = {graph.input: torch.from_numpy(fitted)}
    left = set(layers)
    for layer, finished in with_last_reads(graph):
        if layer.name in left:
            left.remove(layer.name)
            curve = {}
            for share, new in _prune(layer, family, zeros, fit, weights, settings, generator):
                curve[share] = divergence(_outputs_with(graph, held, weights, layer.name, new), _outputs(graph, held))
            yield layer.name, curve
        if not left:
            return
        fit[layer.name] = forward(layer, [fit[name] for name in layer.inputs], weights)
        for name in finished:
            del fit[name]


def _prune(
    layer: Layer,
    family: Sparsity,
    zeros: Sequence[float],
    fit: Tensors,
    weights: Tensors,
    settings: ReconstructionSettings,
    generator: torch.Generator,
) -> Iterator[tuple[float, dict[str, torch.Tensor]]]:
    """(zeros, weights and bias of the layer with them), for those it can have."""
    members = [member for member in _members(family, zeros) if member.applies_to(layer) is None]
    if not members:
        return
    inputs = [fit[name] for name in layer.inputs]
    with torch.inference_mode():
        drawn = problem(layer, inputs, inputs, weights, settings.samples, generator)
        h, ridge = inputs_moment(drawn, settings.ridge)
        g = cross_moment(drawn, drawn.targets, ridge)
        most = max(members, key=lambda member: member.zeros)
        order = select(h[0].numpy(), g[0].numpy(), most, layer.weight_shape, settings.share)
    for member in members:
        with torch.inference_mode():
            solution = name_tensors(layer, solve_with(order.mask(member), drawn, h, ridge, settings.rectify))
        yield member.zeros, solution


def _members(family: Sparsity, zeros: Sequence[float]) -> list[Sparsity]:
    """The sparsities of a family; for kernel patterns without the zeros they cannot have."""
    least = 5 / 9 if family.pattern == "pattern" else 0.0
    return [replace(family, zeros=share) for share in zeros if share >= least]


def _outputs(graph: Graph, held: Tensors) -> list[torch.Tensor]:
    return [held[name] for name in graph.outputs]


def _outputs_with(graph: Graph, held: Tensors, weights: Tensors, changed: str, new: Tensors) -> list[torch.Tensor]:
    """The outputs where one layer has other weights; `held` is every tensor of the dense network."""
    fresh: dict[str, torch.Tensor] = {}
    for layer in graph.layers:
        if layer.name == changed or any(name in fresh for name in layer.inputs):
            own = {**weights, **new} if layer.name == changed else weights
            fresh[layer.name] = forward(layer, [fresh.get(name, held[name]) for name in layer.inputs], own)
    return [fresh.get(name, held[name]) for name in graph.outputs]
