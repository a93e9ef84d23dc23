"""Pictures of what pruning costs."""

from __future__ import annotations

import io
from collections.abc import Mapping

from models.prune.response.curves import FamilyCurves


def draw_sensitivity(model: str, families: Mapping[str, FamilyCurves], relation: Mapping[str, float] | None) -> bytes:
    """A PNG: by block, divergence and AP against zeros, and the one against the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    marks, lines = "os^Dv", ("-", "--", ":", "-.")
    blocks = list(dict.fromkeys(block for family_curves in families.values() for block in family_curves.blocks))
    for number, (family, curves) in enumerate(families.items()):
        for index, block in enumerate(blocks):
            how = {"color": f"C{index}", "marker": marks[number % 5], "linestyle": lines[number % 4], "markersize": 4}
            label = f"{block}, {family}"
            curve = sorted(curves.blocks.get(block, {}).items())
            left.plot(*zip(*curve, strict=True), label=label, **how) if curve else None
            aps = sorted({0.0: curves.dense_ap or 0.0, **curves.ap.get(block, {})}.items())
            if curves.ap.get(block):
                middle.plot(*zip(*aps, strict=True), **how)
                pairs = [(curves.blocks[block][z], (curves.dense_ap or 0.0) - ap) for z, ap in aps if z]
                right.plot(*zip(*pairs, strict=True), **{**how, "linestyle": "none"})
    left.set(yscale="log", xlabel="zeros in the block", ylabel="output divergence", title=f"{model}: the rest dense")
    left.legend(fontsize=7)
    middle.set(xlabel="zeros in the block", ylabel="OKS AP")
    text = f"Spearman {relation['spearman']:.2f}, {relation['points']} points" if relation else ""
    right.set(xscale="log", xlabel="output divergence", ylabel="AP lost", title=text)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=130, format="png")
    return picture.getvalue()
