"""What zeros in one layer do to a network's outputs with all else dense: the curves sensitivity and allocation read.

The measure is the output divergence (models.accuracy.divergence). It needs photographs, but nobody who annotates them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from models.accuracy.divergence import divergence
from models.graph.network import Graph
from models.graph.tied import tied_layers
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.layerwise import (
    DEFAULTS,
    ReconstructionSettings,
    cross_moment,
    inputs_moment,
    order_units,
    samples_of,
    solve_with,
)
from models.prune.reconstruction.problem import problem
from models.prune.reconstruction.streams import forward, torch_weights, with_last_reads
from models.prune.reconstruction.uses import WeightUse, inputs_at, join, split

Tensors = Mapping[str, torch.Tensor]
#: zeros that stand for those of all members of a family
_OF_ALL = 0.75


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
        layers: names of convolutions, of tied ones the first; those that cannot have any of the zeros have an empty
            curve.
        family: the sparsity of which `zeros` take the place of its own.
        fitted, judged, settings: as for `layer_points`.
    """
    wanted = dict.fromkeys(layers, _members(family, zeros))
    for name, points in layer_points(graph, wanted, fitted, judged, settings):
        yield name, {sparsity.zeros: loss for sparsity, loss in points.items()}


def layer_points(
    graph: Graph,
    wanted: Mapping[str, Sequence[Sparsity]],
    fitted: np.ndarray,
    judged: np.ndarray,
    settings: ReconstructionSettings = DEFAULTS,
) -> Iterator[tuple[str, dict[Sparsity, float]]]:
    """Divergence by sparsity, layer after layer, in the order of the graph; the network runs once for all of them.

    Args:
        wanted: sparsities, by the name of a convolution, of tied ones the first; those that a layer cannot have are
            left out of its answer.
        fitted: (N, *graph.input_shape) float32: masks and weights are found on these.
        judged: others of that kind: the divergence is of these.
    """
    weights, tied = torch_weights(graph), tied_layers(graph.layers)
    held = {graph.input: torch.from_numpy(judged)}
    for layer in graph.layers:
        held[layer.name] = forward(layer, [held[name] for name in layer.inputs], weights)
    generator = torch.Generator().manual_seed(settings.seed)
    fit = {graph.input: torch.from_numpy(fitted)}
    left = set(wanted)
    for layer, finished in with_last_reads(graph):
        if layer.name in left:
            left.remove(layer.name)
            points = {}
            possible = [sparsity for sparsity in wanted[layer.name] if sparsity.applies_to(layer) is None]
            if possible:
                names = tied.get(layer.name, (layer.name,))
                uses = _uses(graph, names, fit, weights, settings, generator)
                for sparsity, new in _prune(uses, possible, settings):
                    points[sparsity] = divergence(_outputs_with(graph, held, weights, new), _outputs(graph, held))
            yield layer.name, points
        if not left:
            return
        fit[layer.name] = forward(layer, [fit[name] for name in layer.inputs], weights)
        for name in finished:
            del fit[name]


def _uses(
    graph: Graph,
    names: Sequence[str],
    fit: Tensors,
    weights: Tensors,
    settings: ReconstructionSettings,
    generator: torch.Generator,
) -> list[WeightUse]:
    """The uses of the weight of the layer names[0], with their problems."""
    read, uses = inputs_at(graph, names, fit, fit, weights), []
    for name in names:
        layer = graph.layer(name)
        drawn = problem(layer, *read[name], weights, samples_of(layer, settings, len(names)), generator)
        uses.append(WeightUse.of(layer, drawn, names[0], weights))
    return uses


def _prune(
    uses: Sequence[WeightUse], sparsities: Sequence[Sparsity], settings: ReconstructionSettings
) -> Iterator[tuple[Sparsity, dict[str, dict[str, torch.Tensor]]]]:
    """(sparsity, weights and biases with its zeros, by layer)."""
    families: dict[Sparsity, list[Sparsity]] = {}
    for sparsity in sparsities:
        families.setdefault(replace(sparsity, zeros=_OF_ALL), []).append(sparsity)
    with torch.inference_mode():
        drawn = join(uses)
        h, ridge = inputs_moment(drawn, settings.ridge)
        g = cross_moment(drawn, drawn.targets, ridge)
    for members in families.values():
        most = max(members, key=lambda member: member.zeros)
        with torch.inference_mode():
            order = order_units(uses[0].layer, h, g, most, settings.share)
        for member in members:
            with torch.inference_mode():
                solution = split(uses, solve_with(order.mask(member), drawn, h, ridge, settings.rectify))
            yield member, solution


def _members(family: Sparsity, zeros: Sequence[float]) -> list[Sparsity]:
    """The sparsities of a family; for kernel patterns without the zeros they cannot have."""
    least = 5 / 9 if family.pattern == "pattern" else 0.0
    return [replace(family, zeros=share) for share in zeros if share >= least]


def _outputs(graph: Graph, held: Tensors) -> list[torch.Tensor]:
    return [held[name] for name in graph.outputs]


def _outputs_with(graph: Graph, held: Tensors, weights: Tensors, new: Mapping[str, Tensors]) -> list[torch.Tensor]:
    """The outputs where some layers have other weights; `held` is every tensor of the dense network."""
    fresh: dict[str, torch.Tensor] = {}
    for layer in graph.layers:
        if layer.name in new or any(name in fresh for name in layer.inputs):
            own = {**weights, **new.get(layer.name, {})}
            fresh[layer.name] = forward(layer, [fresh.get(name, held[name]) for name in layer.inputs], own)
    return [fresh.get(name, held[name]) for name in graph.outputs]
