"""What a variant of a layer is thought to cost in accuracy: from a sensitivity file, or else by a hand rule.

A sensitivity file is a JSON object:

    {"format": "fleetpose.sensitivity/1", "model": "resnet50_3", "measure": "AP",
     "blocks": {"backbone": {"0.5": 0.004, "0.75": 0.021}, ...},
     "layers": {"neck.0": {"0.5": 0.001, ...}, ...}}

A curve says what is lost at a fraction of zeros with all else dense. A block's is of all its layers together; a layer's
share of it is its share of the block's weights. A layer's own curve goes before its block's. Curves are of one family
of sparsities, the first key of the file's "divergence" ("columns:4x1"); zeros of others are dearer or cheaper by
`coarseness`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fleetpose.errors import UsageError, quoted
from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.tied import first_uses
from models.plans.sparsity import PATTERN_ENTRIES, Sparsity
from models.prune.masks.families import parse_family
from models.prune.response.curves import read_sensitivity
from models.zoo.blocks import BlockTable, block_of

#: without a file: how much dearer zeros in a layer are than in one of the backbone, after the order the paper found
WEIGHT_OF_BLOCK = {
    "backbone": 1.0,
    "neck": 1.5,
    "initial stage": 2.0,
    "refinement stage": 2.0,
    "heatmap branch": 2.0,
    "PAF branch": 4.0,
}

#: the block that has its mildest zeros only where the rule decides
MILD_BLOCK = "PAF branch"

#: what curves are of where a file does not say; the rule's, too
FINE = parse_family("columns:4x1")
#: how losses grow with the weights that go together; see `coarseness`
COARSE_EXPONENT = 0.3

Curve = tuple[tuple[float, float], ...]


def coarseness(sparsity: Sparsity, layer: Layer) -> float:
    """How much dearer zeros are than as many of columns:4x1: (weights that go or stay together / 4) ** 0.3.

    The larger these units, the more of the large weights go with the small ones. The exponent is what AP showed at
    1.85x (docs/pruning.md: block_punched:8x4 lost twice as much as columns:4x1); at 1.32x both coarser families lost
    several times as much, so that where zeros are few, coarse ones are dearer still.
    """
    positions = prod(layer.kernel) if sparsity.pattern == "connectivity" else 1
    unit = PATTERN_ENTRIES if sparsity.pattern == "pattern" else prod(sparsity.block) * positions
    return (unit / prod(FINE.block)) ** COARSE_EXPONENT


class LossModel(Protocol):
    """What decisions ask of losses."""

    @property
    def table(self) -> BlockTable:
        """Which block a layer belongs to."""

    @property
    def by_rule(self) -> bool:
        """Whether nothing was measured, so that losses are those of a hand rule."""

    def of(self, layer: Layer, sparsity: Sparsity) -> float:
        """The loss of a layer with a sparsity, 0 or more; those of several layers add up."""

    def describe(self, loss: float) -> str:
        """What the losses of a plan add up to, as a sentence."""


@dataclass(frozen=True)
class Losses:
    """Losses of a network's layers.

    Attributes:
        layers: its convolutions.
        table: which block a layer belongs to.
        measure: what a loss is in: "AP", ...; "zeros / kept" by the rule.
        blocks, curves: curves by block, and by layer: (zeros, loss), ascending from (0, 0).
        family: any sparsity of the family that the curves are of.
        source: name of the file that the curves are from; None: there are none, the rule holds.
    """

    layers: Sequence[Layer]
    table: BlockTable
    measure: str = "zeros / kept"
    blocks: Mapping[str, Curve] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    family: Sparsity = FINE
    source: str | None = None

    @property
    def by_rule(self) -> bool:
        """Whether there is no file."""
        return self.source is None

    def describe(self, loss: float) -> str:
        """What the losses of a plan add up to, as a sentence."""
        if self.source is not None:
            return f"loss {loss:.4g} by {self.source}, where it has curves"
        return (
            f"loss {loss:.4g} by a hand rule, the last resort (zeros / kept, dearer by block): nothing was measured, "
            f"and for the same reason the {MILD_BLOCK} has its mildest zeros only"
        )

    def of(self, layer: Layer, sparsity: Sparsity) -> float:
        """The loss of a layer with a sparsity.

        By the rule: the fraction of its weights that go over the fraction kept, times a factor of the block, over the
        number of layers. How many weights the layer has does not count: the curves of `models.sensitivity` for
        human_pose_0001 are much alike from layers of 2,048 weights to such of 262,144. By a file, what layers with one
        weight lose is counted once, with the first of them, since it was measured of all together.
        """
        kept = sparsity.kept_fraction(layer.weight_shape)
        zeros, dearer = 1 - kept, coarseness(sparsity, layer)
        block = block_of(layer.module or layer.name, self.table)
        if (self.curves or self.blocks) and self._first.get(layer.name, layer.name) != layer.name:
            return 0.0
        measured = dearer / coarseness(self.family, layer)
        if layer.name in self.curves:
            return measured * _at(self.curves[layer.name], zeros)
        if block in self.blocks:
            return measured * _at(self.blocks[block], zeros) * self._share(layer, block)
        return dearer * WEIGHT_OF_BLOCK.get(block, 1.0) * zeros / (kept * len(self.layers))

    @cached_property
    def _first(self) -> dict[str, str]:
        return first_uses(self.layers)

    def _share(self, layer: Layer, block: str) -> float:
        owners = [other for other in self.layers if self._first.get(other.name, other.name) == other.name]
        alike = [other for other in owners if block_of(other.module or other.name, self.table) == block]
        return prod(layer.weight_shape) / sum(prod(other.weight_shape) for other in alike)


def _at(curve: Curve, zeros: float) -> float:
    """Linear between the points; beyond the last one its slope goes on."""
    x, y = (np.array(column) for column in zip(*curve, strict=True))
    if zeros > x[-1] and len(x) > 1:
        return float(y[-1] + (zeros - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2]))
    return float(np.interp(zeros, x, y))


def read_losses(path: Path, model: str, layers: Sequence[Layer], table: BlockTable) -> Losses:
    """The losses in a sensitivity file.

    Raises UsageError for another format or network, and for curves that are none.
    """
    values = read_sensitivity(path, model)
    blocks, curves = (
        {name: _curve(points, f"{path}, {quoted(name)}") for name, points in values.get(part, {}).items()}
        for part in ("blocks", "layers")
    )
    families = [parse_family(text) for text in values.get("divergence") or {}]
    return Losses(layers, table, str(values.get("measure", "")), blocks, curves, next(iter(families), FINE), path.name)


def _curve(points: Any, where: str) -> Curve:
    try:
        curve = sorted({0.0: 0.0, **{float(zeros): float(loss) for zeros, loss in points.items()}}.items())
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f'{where}: a curve is an object of zeros and losses, such as {{"0.5": 0.01}}') from error
    if not all(0 <= zeros < 1 and np.isfinite(loss) for zeros, loss in curve):
        raise UsageError(f"{where}: zeros go from 0 to below 1, and losses are finite")
    return tuple(curve)


def losses_of(graph: Graph, table: BlockTable, sensitivity: Path | None) -> Losses:
    """The losses of a network's convolutions: those in a file as `read_losses` reads it, or by the rule without one."""
    convolutions = [layer for layer in graph.layers if layer.op == "conv"]
    return read_losses(sensitivity, graph.name, convolutions, table) if sensitivity else Losses(convolutions, table)
