"""The picture of a frontier: milliseconds against AP or agreement, with intervals; the paper's points as ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleetpose.files import atomic_output
from latency.optimize.frontier.curve import FrontierPoint, unbeaten
from models.zoo.paper import FIGURE_3, FIGURE_3_DEVICE, TABLE_2

OURS, DENSE, PAPER, PEER = "#1f77b4", "#444444", "#d62728", "#999999"


def plot_frontier(path: Path, content: Mapping[str, Any], points: Sequence[FrontierPoint]) -> None:
    """Write a PNG in place of what is there.

    Args:
        content: of frontier.json; its "peers" are dense engines: {"name": ..., "ms": ...}.
        points: the dense network first.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_measured(left, content, points)
    _draw_ratios(right, content["unit"], points)
    with atomic_output(path, force=True) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def _draw_measured(axes: Any, content: Mapping[str, Any], points: Sequence[FrontierPoint]) -> None:
    known = [point for point in points if point.kept is not None]
    front = unbeaten(known)
    axes.plot([point.ms[0] for point in front], [point.kept for point in front], color=OURS, linewidth=1, zorder=1)
    for point in known:
        kept = point.kept or 0.0
        low, high = (kept if end is None else end for end in (point.kept_low, point.kept_high))
        errors = {"xerr": [[max(0.0, point.ms[0] - point.ms[1])], [max(0.0, point.ms[2] - point.ms[0])]],
                  "yerr": [[max(0.0, kept - low)], [max(0.0, high - kept)]]}  # fmt: skip
        colour = DENSE if point is points[0] else OURS
        axes.errorbar(point.ms[0], kept, **errors, fmt="o", color=colour, capsize=2, markersize=5)
        axes.annotate(point.name, (point.ms[0], kept), textcoords="offset points", xytext=(6, 5), fontsize=8)
        if point.name == content["knee"]:
            axes.plot(point.ms[0], kept, "o", markersize=13, markerfacecolor="none", color=OURS, label="knee")
    for number, peer in enumerate(content["peers"]):
        axes.axvline(peer["ms"], color=PEER, linestyle=":", linewidth=1)
        axes.annotate(f"{peer['name']}, dense ", (peer["ms"], 0.02 + 0.06 * number), xycoords=("data", "axes fraction"),
                      fontsize=7, color=PEER, ha="right")  # fmt: skip
    device = content["device"]["profile"] or content["device"]["name"]
    unit = "AP (OKS)" if content["unit"] == "AP" else "agreement with the dense network"
    axes.set(xlabel=f"ms of an inference, measured on {device}", ylabel=unit, title=content["model"])
    if content["knee"] is not None:
        axes.legend(fontsize=8, loc="lower right")


def _draw_ratios(axes: Any, unit: str, points: Sequence[FrontierPoint]) -> None:
    """Accuracy lost against dense / this time, ours and the paper's, whose devices and datasets are others."""
    dense = points[0].kept
    ours = [(point.speedup[0], dense - point.kept) for point in points if dense is not None and point.kept is not None]
    if ours:
        axes.plot(*zip(*sorted(ours), strict=True), "o-", color=OURS, linewidth=1, markersize=5, label="measured here")
    theirs = paper_ratios()
    label = f"the paper: ResNet50_3, {FIGURE_3_DEVICE}, trained"
    axes.plot(*zip(*theirs, strict=True), "s--", color=PAPER, linewidth=1, markersize=5, label=label)
    axes.invert_yaxis()
    axes.set(xlabel="times as fast as the same network dense", ylabel=f"{unit} lost (the paper: AP)", title="As ratios")
    axes.legend(fontsize=7)


def paper_ratios() -> list[tuple[float, float]]:
    """(speed-up over the same network dense, AP lost) of the paper's ResNet50_3 as far as it prints both."""
    aps = {row.ratio: row.ap for row in TABLE_2 if row.model == "resnet50_3"}
    speeds = {row.ratio: row.over_lwop for row in FIGURE_3 if row.model == "resnet50_3"}
    dense_ap, dense_speed = aps["dense"], speeds["dense"]
    assert dense_ap is not None
    assert dense_speed is not None
    return [(speed / dense_speed, dense_ap - ap) for ratio, speed in speeds.items()
            if speed is not None and (ap := aps.get(ratio)) is not None]  # fmt: skip
