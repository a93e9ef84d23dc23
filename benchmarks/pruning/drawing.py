"""The study of pruning written out: a table (CSV) and a plot of AP against parameters kept."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose.files import atomic_output

#: what a cell's method is called, and the method of models.prune that it is
METHODS = {
    "magnitude": "oneshot",
    "reconstruction": "oneshot",
    "recovery": "oneshot",
    "retrained": "oneshot",
    "iterative": "magnitude",
    "admm": "admm",
    "reweighted": "reweighted",
}


COLUMNS = (
    "family",
    "ratio",
    "reached",
    "zeros",
    "method",
    "minutes",
    "ap",
    "low",
    "high",
    "lost",
    "lost_low",
    "lost_high",
)


def plot(path: Path, rows: Sequence[dict[str, Any]], dense: float, title: str) -> None:
    """AP against the ratio, a panel per family."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    families = list(dict.fromkeys(row["family"] for row in rows))
    figure = Figure(figsize=(4.2 * len(families), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(families), sharex=True, sharey=True, squeeze=False)[0]
    shown: dict[str, Any] = {}
    for panel, family in zip(panels, families, strict=True):
        lines: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
        for row in rows:
            if row["family"] == family:
                lines.setdefault((row["method"], row["zeros"], row["minutes"]), []).append(row)
        for (method, zeros, minutes), points in lines.items():
            x, ap, low, high = (np.array([float(p[key]) for p in points]) for key in ("reached", "ap", "low", "high"))
            label = f"{method}, {zeros}" + (f", {minutes:g} min" if minutes else "")
            colour, style = f"C{[*METHODS].index(method)}", "-" if zeros == "allocated" else "--"
            shown[label] = panel.errorbar(
                x, ap, (ap - low, high - ap), color=colour, linestyle=style, marker="o", capsize=2
            )
        panel.axhline(dense, color="black", linewidth=0.8)
        panel.set(xlabel="dense / kept parameters", title=family)
    panels[0].set(ylabel="OKS AP")
    figure.legend(shown.values(), shown.keys(), fontsize=8, loc="outside lower center", ncols=4)
    figure.suptitle(title)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with atomic_output(path, force=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
