"""What a variant of a layer is thought to cost in accuracy: from a sensitivity file, or by a rule where there is none.

A sensitivity file is a JSON object:

    {"format": "fleetpose.sensitivity/1", "model": "resnet50_3", "measure": "AP",
     "blocks": {"backbone": {"0.5": 0.004, "0.75": 0.021}, ...},
     "layers": {"neck.0": {"0.5": 0.001, ...}, ...}}

A curve says what is lost at a fraction of zeros with all else dense. A block's is of all its layers together; a layer's
share of it is its share of the block's weights. A layer's own curve goes before its block's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from models.blocks import BlockTable, block_of
from models.layer import Layer

FORMAT = "fleetpose.sensitivity/1"

#: without a file: how much dearer a removed weight is than one of the backbone, after the order the paper found
WEIGHT_OF_BLOCK = {
    "backbone": 1.0,
    "neck": 1.5,
    "initial stage": 2.0,
    "refinement stage": 2.0,
    "heatmap branch": 2.0,
    "PAF branch": 4.0,
}

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Losses:
    """Losses of a network's layers.

    Attributes:
        layers: its convolutions.
        table: which block a layer belongs to.
        measure: what a loss is in: "AP", ...; "removed weights" by the rule.
        blocks, curves: curves by block, and by layer: (zeros, loss), ascending from (0, 0).
    """

    layers: Sequence[Layer]
    table: BlockTable
    measure: str = "removed weights"
    blocks: Mapping[str, Curve] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)

    def of(self, layer: Layer, kept: float) -> float:
        """The loss of a layer that keeps a fraction `kept` of its weights.

        By the rule: the share of the network's weights that go, times a factor of the block, over the fraction kept,
        since the last weights of a layer are dearer than the first.
        """
        zeros = 1 - kept
        if layer.name in self.curves:
            return _at(self.curves[layer.name], zeros)
        block = block_of(layer.module or layer.name, self.table)
        if block in self.blocks:
            return _at(self.blocks[block], zeros) * self._share(layer, block)
        if zeros <= 0:
            return 0.0
        total = sum(prod(each.weight_shape) for each in self.layers)
        return WEIGHT_OF_BLOCK.get(block, 1.0) * prod(layer.weight_shape) * zeros / (total * kept)

    def _share(self, layer: Layer, block: str) -> float:
        alike = [each for each in self.layers if block_of(each.module or each.name, self.table) == block]
        return prod(layer.weight_shape) / sum(prod(each.weight_shape) for each in alike)


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
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the sensitivity {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"the sensitivity {path} is not JSON: {error}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise UsageError(f"{path} is no sensitivity: its format is not {FORMAT!r}")
    if values.get("model") != model:
        raise UsageError(f"{path} is the sensitivity of {values.get('model')}, not of {model}")
    curves = [
        {name: _curve(points, f"{path}, {name!r}") for name, points in values.get(part, {}).items()}
        for part in ("blocks", "layers")
    ]
    return Losses(layers, table, str(values.get("measure", "")), *curves)


def _curve(points: Any, where: str) -> Curve:
    try:
        found = sorted({0.0: 0.0, **{float(zeros): float(loss) for zeros, loss in points.items()}}.items())
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f'{where}: a curve is an object of zeros and losses, such as {{"0.5": 0.01}}') from error
    if not all(0 <= zeros < 1 and np.isfinite(loss) for zeros, loss in found):
        raise UsageError(f"{where}: zeros go from 0 to below 1, and losses are finite")
    return tuple(found)
