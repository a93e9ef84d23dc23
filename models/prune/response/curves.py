"""The sensitivity file: what zeros cost, by block and by layer, in AP and in output divergence; torch-free.

    {"format": "fleetpose.sensitivity/1", "model": "lwop", "measure": "AP",
     "blocks": {"backbone": {"0.5": 0.03, ...}, ...}, "layers": {"model.1.pointwise": {"0.5": 0.001, ...}, ...},
     "divergence": {"columns:4x1": {"blocks": {...}, "layers": {...}}, ...},
     "ap": {"columns:4x1": {"dense": 0.45, "blocks": {"backbone": {"0.5": 0.42, ...}, ...}}, ...},
     "relation": {"points": 24, "spearman": 0.97, "pearson": 0.9, "ap_per_divergence": 0.4}, "measured": {...}}

`latency.decide` reads "measure", "blocks" and "layers": losses of the first family of sparsities, in AP where
photographs were annotated, else in divergence. AP of single layers is divergence times the relation's slope: it is far
below what a few dozen photographs can tell from chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from fleetpose.codec import check_entries, decode
from fleetpose.errors import UsageError, one_line, unknown_name
from fleetpose.files import read_json

FORMAT = "fleetpose.sensitivity/1"

#: types of its parts; curves and points may be of any numbers, and are checked where they are read
KINDS: Mapping[str, Any] = {
    "model": str,
    "measure": str,
    "blocks": dict[str, Any],
    "layers": dict[str, Any],
    "divergence": dict[str, Any] | None,
    "ap": dict[str, Any],
    "relation": dict[str, Any] | None,
    "measured": dict[str, Any],
    "points": dict[str, dict[str, float]],
}

#: {name of a block or layer: {zeros: loss}}
Curves = Mapping[str, Mapping[float, float]]


@dataclass(frozen=True)
class FamilyCurves:
    """Of one family of sparsities.

    Attributes:
        blocks, layers: output divergence by fraction of zeros.
        dense_ap: AP without zeros; None where no photographs were annotated.
        ap: AP by block and fraction of zeros.
    """

    blocks: Curves
    layers: Curves
    dense_ap: float | None = None
    ap: Curves = field(default_factory=dict)

    def pairs(self) -> np.ndarray:
        """(n, 2): divergence and AP lost, of every block at every fraction that has both."""
        pairs = [
            (self.blocks[block][zeros], (self.dense_ap or 0.0) - value)
            for block, curve in self.ap.items()
            for zeros, value in curve.items()
            if zeros in self.blocks.get(block, {})
        ]
        return np.array(pairs).reshape(-1, 2)


def relation(pairs: np.ndarray) -> dict[str, float] | None:
    """How AP lost goes with divergence, (n, 2); None for fewer than three pairs or where one of them never changes.

    The slope is that of a line through 0, by least squares on the pairs in the lower half of the AP losses, since AP
    cannot fall below 0 and so flattens.
    """
    if len(pairs) < 3 or (pairs.min(axis=0) == pairs.max(axis=0)).any():
        return None
    small = pairs[pairs[:, 1] <= max(pairs[:, 1].max() / 2, np.median(pairs[:, 1]))]
    slope = float(small[:, 0] @ small[:, 1] / (small[:, 0] @ small[:, 0]))
    return {
        "points": len(pairs),
        "spearman": float(spearmanr(*pairs.T).statistic),
        "pearson": float(pearsonr(*pairs.T).statistic),
        "ap_per_divergence": max(slope, 0.0),
    }


def to_json(model: str, families: Mapping[str, FamilyCurves], measured: Mapping[str, Any]) -> dict[str, Any]:
    """The file's content. `measured` says with which weights and photographs."""
    first = next(iter(families.values()))
    known = relation(np.concatenate([family.pairs() for family in families.values()]))
    blocks: Curves
    layers: Curves
    if known is not None:
        dense = first.dense_ap or 0.0
        blocks = {name: {zeros: dense - ap for zeros, ap in curve.items()} for name, curve in first.ap.items()}
        slope = known["ap_per_divergence"]
        layers = {name: {zeros: slope * loss for zeros, loss in c.items()} for name, c in first.layers.items()}
    else:
        blocks, layers = first.blocks, first.layers
    return {
        "format": FORMAT,
        "model": model,
        "measure": "AP" if known is not None else "output divergence",
        "blocks": _texts(blocks),
        "layers": _texts(layers),
        "divergence": {n: {"blocks": _texts(f.blocks), "layers": _texts(f.layers)} for n, f in families.items()},
        "ap": {n: {"dense": f.dense_ap, "blocks": _texts(f.ap)} for n, f in families.items() if f.dense_ap is not None},
        "relation": known,
        "measured": dict(measured),
    }


def read_divergence(path: Path | str, model: str, family: str | None = None) -> dict[str, Curves]:
    """The divergence of single layers, by family of sparsities.

    Args:
        family: only this one; None: all.

    Raises:
        UsageError: no such file or format, another network's, or no such family in it.
    """
    content = read_sensitivity(path, model)
    if content.get("divergence") is None:
        raise UsageError(f"{path} has no curves of layers; models.sensitivity writes them")
    divergence = decode(dict[str, FamilyCurves], content["divergence"], f"{path}: divergence")
    families = {name: curves.layers for name, curves in divergence.items()}
    if family is not None and family not in families:
        raise unknown_name(f"family of sparsities in {path}", family, families)
    return {name: curves for name, curves in families.items() if family in (None, name)}


def read_sensitivity(path: Path | str, model: str) -> dict[str, Any]:
    """The content of a sensitivity file; of its parts the types are checked, of curves not the numbers.

    Raises:
        UsageError: no such file or format, or another network's.
    """
    content = check_entries(read_json(path, "sensitivity", FORMAT), KINDS, str(path))
    if content.get("model") != model:
        raise UsageError(f"{path} is the sensitivity of {one_line(content.get('model'))}, not of {model}")
    return content


def _texts(curves: Curves) -> dict[str, dict[str, float]]:
    """Curves as JSON has them: zeros are texts, ascending."""
    return {name: {f"{zeros:g}": curve[zeros] for zeros in sorted(curve)} for name, curve in curves.items()}
