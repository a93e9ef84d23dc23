"""Measured losses: what a variant of a layer costs by the divergence that was measured of some variants of some layers.

Over the odds of zeros, zeros / kept, the divergence of a layer is nearly a power (of human_pose_0001's and resnet50_3's
layers, with an exponent around 0.9). So between two measured points of a family of sparsities, and beyond them, it is
carried on in logarithms. Of families that were measured nowhere in a layer the offset is that of other layers, else
`coarseness`; of layers that were measured nowhere the level is that of their block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import exp, log
from statistics import median

import numpy as np

from latency.planning.loss_map import LossMap
from latency.planning.losses import coarseness
from models.graph.layer import Layer
from models.graph.tied import first_uses
from models.plans.sparsity import Sparsity
from models.zoo.blocks import BlockTable, block_of

#: the exponent where no layer was measured at two fractions of zeros
USUAL_EXPONENT = 0.9
#: exponents that are believed
EXPONENTS = (0.3, 3.0)
#: families that were measured in so few layers have no offset of their own
LEAST_LAYERS = 3
#: standard deviations of the logarithm of a loss: measured itself; between points of its family; of another family of
#: a layer that was measured; of a layer that was not
MEASURED, ITS_FAMILY, ITS_LAYER, NOTHING = 0.1, 0.25, 0.5, 1.0
#: the least divergence that is told from none
LEAST = 1e-9

#: a family: any of its sparsities, with zeros of 0.6 in their place
Family = Sparsity
#: (log of zeros / kept, log of divergence), ascending
LogCurve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class MeasuredLosses:
    """Losses of a network's layers, in divergence of its outputs.

    Attributes:
        layers: its convolutions.
        table: which block a layer belongs to.
        points: divergence by sparsity, of layers by name; of tied ones by the first one's.
        about: on what it was measured, in words.
        map: from divergence to what is lost of AP or agreement, if it is known.
    """

    layers: Sequence[Layer]
    table: BlockTable
    points: Mapping[str, Mapping[Sparsity, float]]
    about: str
    map: LossMap | None = None

    @property
    def by_rule(self) -> bool:
        """Whether nothing was measured."""
        return False

    def describe(self, loss: float) -> str:
        """What the losses of a plan add up to, as a sentence."""
        said = f"loss {loss:.4g}: divergence of the outputs, layers added up, measured {self.about}"
        if self.map is None:
            return said
        predicted, count = self.map.predict(loss), len(self.map.points)
        plans = "a plan that was" if count == 1 else f"{count} plans that were"
        return (
            f"{said}; {self.map.unit} lost {predicted.lost:.3f} ({predicted.low:.3f} to {predicted.high:.3f}), as "
            f"predicted by {plans} pruned and evaluated on {self.map.photographs} photographs"
        )

    def of(self, layer: Layer, sparsity: Sparsity) -> float:
        """The loss of a layer with a sparsity; 0 of tied layers but the first, which counts for all of them."""
        if self._first.get(layer.name, layer.name) != layer.name:
            return 0.0
        known = self.points.get(layer.name, {}).get(sparsity)
        return known if known is not None else exp(self._log_loss(layer, sparsity))

    def total(self, sparsities: Mapping[str, Sparsity]) -> float:
        """What a plan's layers add up to, by their names."""
        return sum(self.of(layer, sparsities[layer.name]) for layer in self.layers if layer.name in sparsities)

    def spread(self, layer: Layer, sparsity: Sparsity) -> float:
        """How sure that is: the standard deviation of its logarithm."""
        name = self._first.get(layer.name, layer.name)
        if sparsity in self.points.get(name, {}):
            return MEASURED
        curves = self._curves.get(name, {})
        return ITS_FAMILY if family_of(sparsity) in curves else ITS_LAYER if curves else NOTHING

    def is_measured(self, layer: Layer, sparsity: Sparsity) -> bool:
        """Whether exactly that was measured."""
        return sparsity in self.points.get(self._first.get(layer.name, layer.name), {})

    def _log_loss(self, layer: Layer, sparsity: Sparsity) -> float:
        kept = sparsity.kept_fraction(layer.weight_shape)
        odds, family = _log_odds(1 - kept), family_of(sparsity)
        curves = self._curves.get(layer.name, {})
        if family in curves:
            return _at(curves[family], odds, self.exponent)
        offset = self._offset(layer, sparsity)
        if curves:
            nearest = min(curves, key=lambda other: abs(offset - self._offset(layer, other)))
            return _at(curves[nearest], odds, self.exponent) + offset - self._offset(layer, nearest)
        level = self._levels.get(block_of(layer.module or layer.name, self.table), self._levels[""])
        return level + self.exponent * odds + offset

    def _offset(self, layer: Layer, sparsity: Sparsity) -> float:
        """How much dearer a family is than columns:4x1, in logarithms."""
        measured = self._offsets.get(family_of(sparsity))
        return log(coarseness(sparsity, layer)) if measured is None else measured

    @cached_property
    def exponent(self) -> float:
        """Of zeros / kept in the divergence; the median over neighbouring points of layers."""
        slopes = [
            (later[1] - point[1]) / (later[0] - point[0])
            for curves in self._curves.values()
            for curve in curves.values()
            for point, later in pairwise(curve)
            if later[0] - point[0] > 0.1
        ]
        return float(np.clip(median(slopes), *EXPONENTS)) if slopes else USUAL_EXPONENT

    @cached_property
    def _offsets(self) -> dict[Family, float]:
        """The median, over layers that were measured under several families, of each family over the finest one."""
        gaps: dict[Family, list[float]] = {}
        for name, curves in self._curves.items():
            finest = min(curves, key=lambda family: coarseness(family, self._by_name[name]))
            base = log(coarseness(finest, self._by_name[name]))
            for family, curve in curves.items():
                if family != finest:
                    gap = [loss - _at(curves[finest], odds, self.exponent) for odds, loss in curve]
                    gaps.setdefault(family, []).append(base + median(gap))
        return {family: median(values) for family, values in gaps.items() if len(values) >= LEAST_LAYERS}

    @cached_property
    def _levels(self) -> dict[str, float]:
        """log divergence at as many zeros as weights kept, by block; "" of all blocks."""
        levels: dict[str, list[float]] = {"": []}
        for name, curves in self._curves.items():
            layer = self._by_name[name]
            for family, curve in curves.items():
                level = _at(curve, 0.0, self.exponent) - self._offset(layer, family)
                levels[""].append(level)
                levels.setdefault(block_of(layer.module or name, self.table), []).append(level)
        return {block: median(values) for block, values in levels.items() if values} or {"": 0.0}

    @cached_property
    def _curves(self) -> dict[str, dict[Family, LogCurve]]:
        curves: dict[str, dict[Family, list[tuple[float, float]]]] = {}
        for name, points in self.points.items():
            if name not in self._by_name:
                continue
            for sparsity, loss in points.items():
                zeros = 1 - sparsity.kept_fraction(self._by_name[name].weight_shape)
                if 0 < zeros < 1:
                    point = (_log_odds(zeros), log(max(loss, LEAST)))
                    curves.setdefault(name, {}).setdefault(family_of(sparsity), []).append(point)
        return {name: {f: _ascending(c) for f, c in families.items()} for name, families in curves.items()}

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def _first(self) -> dict[str, str]:
        return first_uses(self.layers)


def family_of(sparsity: Sparsity) -> Family:
    """The family of a sparsity, which all that differ in zeros only have in common."""
    return replace(sparsity, zeros=0.6)


def _log_odds(zeros: float) -> float:
    zeros = min(max(zeros, 1e-3), 1 - 1e-3)
    return log(zeros / (1 - zeros))


def _ascending(points: Iterable[tuple[float, float]]) -> LogCurve:
    """Points in order, none of them lower than one with fewer zeros, since more zeros do not lose less."""
    ordered = sorted(points)
    highest = np.maximum.accumulate([loss for _, loss in ordered])
    return [(odds, float(loss)) for (odds, _), loss in zip(ordered, highest, strict=True)]


def _at(curve: LogCurve, odds: float, exponent: float) -> float:
    """Linear between points; beyond the first and the last one with the slope `exponent`."""
    (first, low), (last, high) = curve[0], curve[-1]
    if odds < first:
        return low + exponent * (odds - first)
    if odds > last:
        return high + exponent * (odds - last)
    return float(np.interp(odds, [point[0] for point in curve], [point[1] for point in curve]))
