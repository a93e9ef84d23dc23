"""Layer-wise reconstruction: a graph pruned layer by layer, each layer's weights solved anew so that its output stays.

Calibration inputs run through the network twice, dense and pruned so far, layer after layer. A layer's least squares
take the pruned inputs and the dense outputs, so later layers make up for the errors of earlier ones; layers that stay
dense are solved anew, too (He et al. 2017, arXiv:1707.06168).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from models.graph import Graph
from models.prune.layerwise import DEFAULTS, Settings, solved_layer
from models.prune.problem import problem
from models.prune.streams import forward, torch_weights, with_last_reads
from models.sparsity import Sparsity

#: report(layer, layers done, layers in all)
Report = Callable[[str, int, int], None]


def reconstruct(
    graph: Graph,
    sparsities: Mapping[str, Sparsity],
    inputs: np.ndarray,
    settings: Settings = DEFAULTS,
    report: Report | None = None,
) -> Graph:
    """The graph with the zeros of `sparsities` and weights that answer nearly what they did on `inputs`.

    Args:
        sparsities: by layer; every layer must be able to have its own (see Plan.check).
        inputs: (N, *graph.input_shape) float32.
        report: called with each layer's name, layers done and layers in all.
    """
    weights = torch_weights(graph)
    solved = dict(graph.weights)
    generator = torch.Generator().manual_seed(settings.seed)
    first = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    dense, pruned = {graph.input: first}, {graph.input: first}
    for index, (layer, finished) in enumerate(with_last_reads(graph), 1):
        theirs, mine = [dense[name] for name in layer.inputs], [pruned[name] for name in layer.inputs]
        made = forward(layer, theirs, weights)
        changed = any(a is not b for a, b in zip(theirs, mine, strict=True))
        sparsity, own = sparsities.get(layer.name), weights
        if layer.op == "conv" and (sparsity is not None or (changed and settings.compensate)):
            samples = settings.samples if layer.groups == 1 else max(1, settings.samples // 4)
            drawn = problem(layer, theirs, mine, weights, samples, generator)
            new = solved_layer(layer, sparsity, drawn, settings)
            solved.update({name: value.numpy() for name, value in new.items()})
            own, changed = {**weights, **new}, True
        dense[layer.name] = made
        pruned[layer.name] = forward(layer, mine, own) if changed else made
        for name in finished:
            del dense[name], pruned[name]
        if report is not None:
            report(layer.name, index, len(graph.layers))
    return replace(graph, weights=solved)
