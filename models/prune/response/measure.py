"""What zeros in each block and layer of a network cost, measured: every curve of the sensitivity file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report
from models.accuracy.divergence import divergence
from models.accuracy.protocol import evaluate_network
from models.graph.network import Graph
from models.plans.eligible import prunable
from models.plans.sparsity import Sparsity
from models.prune.masks.binding import adopt
from models.prune.masks.families import family_text
from models.prune.reconstruction.reconstruct import reconstruct
from models.prune.reconstruction.streams import run_outputs
from models.prune.response.curves import FamilyCurves
from models.prune.response.journal import ResponseJournal
from models.prune.response.outputs import layer_curves
from models.prune.response.points import QUICK
from models.zoo.spec import ModelSpec

#: report(message, points done, points in all)


@dataclass(frozen=True, eq=False)
class Subject:
    """A network whose sensitivity is measured, and the photographs it is measured on.

    Attributes:
        graph: traced from `network`.
        fitted, judged: (N, *graph.input_shape) float32: weights are solved on the first, judged by the second.
        annotated: COCO folder that AP of blocks is measured on; None: no AP.
    """

    network: nn.Module
    spec: ModelSpec
    graph: Graph
    fitted: np.ndarray
    judged: np.ndarray
    annotated: Path | None = None

    @classmethod
    def of(
        cls, network: nn.Module, spec: ModelSpec, graph: Graph, inputs: np.ndarray, annotated: Path | None = None
    ) -> Subject:
        """A quarter of `inputs`, the first ones, judges. Raises UsageError for fewer than two inputs."""
        if len(inputs) < 2:
            raise UsageError(f"{len(inputs)} photograph is too few: give --data with 2 or more")
        judges = max(1, len(inputs) // 4)
        return cls(network, spec, graph, inputs[judges:], inputs[:judges], annotated)

    def blocks(self) -> dict[str, list[str]]:
        """The prunable layers of each block, blocks in the order of the data."""
        layers: dict[str, list[str]] = {}
        for layer in prunable(self.graph):
            layers.setdefault(self.spec.block(layer.module or layer.name), []).append(layer.name)
        return layers


def measure_sensitivity(
    subject: Subject,
    families: Sequence[Sparsity],
    zeros: Sequence[float],
    block_zeros: Sequence[float],
    journal: ResponseJournal,
    report: Report = no_report,
) -> dict[str, FamilyCurves]:
    """Every curve of each family of sparsities, by the family's text.

    Args:
        zeros, block_zeros: fractions of zeros, of single layers and of whole blocks.
        journal: what it has is not measured again; what is measured goes into it.
    """
    return {
        family_text(family): _measure_family(subject, family, zeros, block_zeros, journal, report)
        for family in families
    }


@dataclass(frozen=True)
class _BlockPoint:
    """What zeros in a whole block do; `ap`: None where nothing is annotated."""

    divergence: float
    ap: float | None = None


def _measure_family(
    subject: Subject,
    family: Sparsity,
    zeros: Sequence[float],
    block_zeros: Sequence[float],
    journal: ResponseJournal,
    report: Report,
) -> FamilyCurves:
    blocks = subject.blocks()
    layers = _measure_layers(subject, family, zeros, journal, report)
    curves: dict[str, dict[float, _BlockPoint]] = {block: {} for block in blocks}
    points = [(block, share) for block in blocks for share in block_zeros]
    for done, (block, share) in enumerate(points):
        key = f"{family_text(family)} block {block} {share:g}"
        report(key, done, len(points))
        if key not in journal.values:
            journal.add(key, _measure_block(subject, replace(family, zeros=share), blocks[block]))
        if (point := journal.read(key, _BlockPoint | None)) is not None:
            curves[block][share] = point
    divergences, aps = (
        {block: {share: getattr(point, name) for share, point in curve.items()} for block, curve in curves.items()}
        for name in ("divergence", "ap")
    )
    if subject.annotated is None:
        return FamilyCurves(divergences, layers)
    if "dense ap" not in journal.values:
        report("AP of the dense network")
        journal.add("dense ap", _measure_ap(subject, subject.graph))
    return FamilyCurves(divergences, layers, journal.read("dense ap", float), aps)


def _measure_layers(
    subject: Subject, family: Sparsity, zeros: Sequence[float], journal: ResponseJournal, report: Report
) -> dict[str, dict[float, float]]:
    """Curves of single layers."""
    prefix, names = f"{family_text(family)} layer ", [layer.name for layer in prunable(subject.graph)]
    missing = [name for name in names if prefix + name not in journal.values]
    measured = layer_curves(subject.graph, missing, family, zeros, subject.fitted, subject.judged, QUICK)
    for done, (name, curve) in enumerate(measured, len(names) - len(missing) + 1):
        journal.add(prefix + name, {f"{share:g}": loss for share, loss in curve.items()})
        report(prefix + name, done, len(names))
    curves = {name: journal.read(prefix + name, dict[float, float]) for name in names}
    return {name: curve for name, curve in curves.items() if curve}


def _measure_block(subject: Subject, sparsity: Sparsity, layers: Sequence[str]) -> dict[str, Any] | None:
    """Divergence, and AP where there are annotations, with `sparsity` in all layers of a block that can have it."""
    graph = subject.graph
    chosen = {name: sparsity for name in layers if sparsity.applies_to(graph.layer(name)) is None}
    if not chosen:
        return None
    pruned = reconstruct(graph, chosen, subject.fitted, QUICK)
    loss = divergence(run_outputs(pruned, subject.judged), run_outputs(graph, subject.judged))
    return {"divergence": loss, "ap": _measure_ap(subject, pruned) if subject.annotated else None}


def _measure_ap(subject: Subject, graph: Graph) -> float:
    """AP of the network with the weights of `graph`."""
    network = copy.deepcopy(subject.network)
    adopt(network, subject.graph, graph)
    assert subject.annotated is not None
    return evaluate_network(network, subject.spec, subject.annotated).ap or 0.0
