"""Layer-wise reconstruction: a graph pruned layer by layer, each layer's weights solved anew so that its output stays.

Calibration inputs run through the network twice, dense and pruned so far, layer after layer. A layer's least squares
take the pruned inputs and the dense outputs, so later layers make up for the errors of earlier ones; layers that stay
dense are solved anew, too (He et al. 2017, arXiv:1707.06168). Layers that share a weight are solved together where the
first of them stands, by what all of them read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from fleetpose.progress import Report, no_report
from models.frontend.parameters import COMPUTED
from models.graph.network import Graph
from models.graph.tied import spread_over_uses, tied_layers
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.importance import Importance, importances
from models.prune.reconstruction.layerwise import DEFAULTS, ReconstructionSettings, samples_of, solve_uses
from models.prune.reconstruction.problem import problem
from models.prune.reconstruction.streams import forward, torch_weights, with_last_reads
from models.prune.reconstruction.uses import WeightUse, inputs_at


def reconstruct(
    graph: Graph,
    sparsities: Mapping[str, Sparsity],
    inputs: np.ndarray,
    settings: ReconstructionSettings = DEFAULTS,
    report: Report = no_report,
) -> Graph:
    """The graph with the zeros of `sparsities` and weights that answer nearly what they did on `inputs`.

    Args:
        sparsities: by layer; every layer must be able to have its own (see Plan.check). Layers whose weight is no
            parameter of the network, which could not take another one, stay as they are.
        inputs: (N, *graph.input_shape) float32.
        report: called with each layer's name, layers done and layers in all.
    """
    weights = torch_weights(graph)
    tied, sparsities = tied_layers(graph.layers), spread_over_uses(graph.layers, sparsities)
    later = {name for names in tied.values() for name in names[1:]}
    known = _importances(graph, inputs, settings, None if settings.compensate else set(sparsities))
    drawing = _Drawing(graph, weights, settings, known, torch.Generator().manual_seed(settings.seed))
    solved: dict[str, dict[str, torch.Tensor]] = {}
    first = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    dense, pruned = {graph.input: first}, {graph.input: first}
    for index, (layer, finished) in enumerate(with_last_reads(graph), 1):
        theirs, mine = [dense[name] for name in layer.inputs], [pruned[name] for name in layer.inputs]
        dense_output = forward(layer, theirs, weights)
        changed = any(a is not b for a, b in zip(theirs, mine, strict=True))
        sparsity = sparsities.get(layer.name)
        wanted = layer.op == "conv" and layer.name not in later and layer.parameter != COMPUTED
        if wanted and (sparsity is not None or (changed and settings.compensate)):
            uses = drawing.uses(tied.get(layer.name, (layer.name,)), dense, pruned)
            solved |= solve_uses(uses, sparsity, settings, drawing.filters(uses))
        new = solved.get(layer.name)
        dense[layer.name] = pruned[layer.name] = dense_output
        if changed or new is not None:
            pruned[layer.name] = forward(layer, mine, weights if new is None else {**weights, **new})
        for name in finished:
            del dense[name], pruned[name]
        report(layer.name, index, len(graph.layers))
    new_weights = {name: value.numpy() for of_layer in solved.values() for name, value in of_layer.items()}
    return replace(graph, weights={**graph.weights, **new_weights})


@dataclass(frozen=True, eq=False)
class _Drawing:
    """How problems are drawn; the fields are as in `reconstruct`, `weights` those of the dense network."""

    graph: Graph
    weights: Mapping[str, torch.Tensor]
    settings: ReconstructionSettings
    known: Mapping[str, Importance]
    generator: torch.Generator

    def uses(
        self, names: Sequence[str], dense: Mapping[str, torch.Tensor], pruned: Mapping[str, torch.Tensor]
    ) -> list[WeightUse]:
        """The uses of one weight with their problems; arguments as for `inputs_at`."""
        read, uses = inputs_at(self.graph, names, dense, pruned, self.weights), []
        for name in names:
            layer, matters = self.graph.layer(name), self.known.get(name)
            share = self.settings.attention
            chances = None if matters is None else 1 - share + share * matters.positions
            samples = samples_of(layer, self.settings, len(names))
            drawn = problem(layer, *read[name], self.weights, samples, self.generator, chances)
            uses.append(WeightUse.of(layer, drawn, names[0], self.weights))
        return uses

    def filters(self, uses: Sequence[WeightUse]) -> np.ndarray | None:
        """How much each filter matters, by all uses; None where all count alike."""
        matters = [self.known[use.layer.name].filters for use in uses if use.layer.name in self.known]
        return torch.stack(matters).mean(0).numpy() if matters else None


def _importances(
    graph: Graph, inputs: np.ndarray, settings: ReconstructionSettings, layers: set[str] | None
) -> dict[str, Importance]:
    """Of the convolutions among `layers` (None: of all); none where all positions and filters are to count alike."""
    convs = [layer.name for layer in graph.layers if layer.op == "conv" and (layers is None or layer.name in layers)]
    return importances(graph, convs, inputs, settings.seed) if settings.attention and convs else {}
