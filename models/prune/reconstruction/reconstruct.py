"""Layer-wise reconstruction: a graph pruned layer by layer, each layer's weights solved anew so that its output stays.

Calibration inputs run through the network twice, dense and pruned so far, layer after layer. A layer's least squares
take the pruned inputs and the dense outputs, so later layers make up for the errors of earlier ones; layers that stay
dense are solved anew, too (He et al. 2017, arXiv:1707.06168).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from fleetpose.progress import Report, no_report
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.importance import Importance, importances
from models.prune.reconstruction.layerwise import DEFAULTS, ReconstructionSettings, solve_layer
from models.prune.reconstruction.problem import Problem, problem
from models.prune.reconstruction.streams import forward, torch_weights, with_last_reads


def reconstruct(
    graph: Graph,
    sparsities: Mapping[str, Sparsity],
    inputs: np.ndarray,
    settings: ReconstructionSettings = DEFAULTS,
    report: Report = no_report,
) -> Graph:
    """The graph with the zeros of `sparsities` and weights that answer nearly what they did on `inputs`.

    Args:
        sparsities: by layer; every layer must be able to have its own (see Plan.check).
        inputs: (N, *graph.input_shape) float32.
        report: called with each layer's name, layers done and layers in all.
    """
    weights = torch_weights(graph)
    known = _importances(graph, inputs, settings, None if settings.compensate else set(sparsities))
    solved, generator = dict(graph.weights), torch.Generator().manual_seed(settings.seed)
    first = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    dense, pruned = {graph.input: first}, {graph.input: first}
    for index, (layer, finished) in enumerate(with_last_reads(graph), 1):
        theirs, mine = [dense[name] for name in layer.inputs], [pruned[name] for name in layer.inputs]
        dense_output, own = forward(layer, theirs, weights), weights
        changed = any(a is not b for a, b in zip(theirs, mine, strict=True))
        sparsity = sparsities.get(layer.name)
        if layer.op == "conv" and (sparsity is not None or (changed and settings.compensate)):
            matters = known.get(layer.name)
            drawn = _draw(layer, theirs, mine, weights, settings, generator, matters)
            filters = None if matters is None else matters.filters.numpy()
            new = solve_layer(layer, sparsity, drawn, settings, filters)
            solved.update({name: value.numpy() for name, value in new.items()})
            own, changed = {**weights, **new}, True
        dense[layer.name] = dense_output
        pruned[layer.name] = forward(layer, mine, own) if changed else dense_output
        for name in finished:
            del dense[name], pruned[name]
        report(layer.name, index, len(graph.layers))
    return replace(graph, weights=solved)


def _importances(
    graph: Graph, inputs: np.ndarray, settings: ReconstructionSettings, layers: set[str] | None
) -> dict[str, Importance]:
    """Of the convolutions among `layers` (None: of all); none where all positions and filters are to count alike."""
    convs = [layer.name for layer in graph.layers if layer.op == "conv" and (layers is None or layer.name in layers)]
    return importances(graph, convs, inputs, settings.seed) if settings.attention and convs else {}


def _draw(
    layer: Layer,
    dense: list[torch.Tensor],
    pruned: list[torch.Tensor],
    weights: Mapping[str, torch.Tensor],
    settings: ReconstructionSettings,
    generator: torch.Generator,
    matters: Importance | None,
) -> Problem:
    samples = settings.samples if layer.groups == 1 else max(1, settings.samples // 4)
    chances = None if matters is None else 1 - settings.attention + settings.attention * matters.positions
    return problem(layer, dense, pruned, weights, samples, generator, chances)
