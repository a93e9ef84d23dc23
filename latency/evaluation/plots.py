"""A predictor saved with its picture: predicted against measured, on held-out samples, coloured by class of kernel."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fleetpose.files import write_together
from latency.cost_model.fitting import Fitted
from latency.cost_model.model import measured_ms

#: colours are given to the most frequent classes, in this order; the rest is grey
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b")
REST = "#999999"


def draw_fit(
    measured: np.ndarray,
    predicted: np.ndarray,
    kernels: Sequence[str],
    title: str,
    level: float = 0.9,
    factors: np.ndarray | None = None,
) -> bytes:
    """A PNG: milliseconds (n) on both axes, logarithmic; below them the errors in per cent.

    Args:
        factors: (n) by which an interval reaches up and down; drawn in pale behind the points.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1.2), sharex=True)
    ends = [float(min(measured.min(), predicted.min())) * 0.8, float(max(measured.max(), predicted.max())) * 1.25]
    upper.plot(ends, ends, color="black", linewidth=0.8)
    upper.fill_between(
        ends, [0.9 * end for end in ends], [1.1 * end for end in ends], color="black", alpha=0.1, label="±10 %"
    )
    if factors is not None:
        spans = [predicted - predicted / factors, predicted * factors - predicted]
        upper.errorbar(measured, predicted, spans, fmt="none", ecolor="#cccccc", linewidth=0.5, zorder=0)
        upper.plot([], [], color="#cccccc", label=f"{level:.0%} interval")
    names = np.array(kernels, object)
    for name, colour in _colours(kernels):
        rows = names == name if colour != REST else ~np.isin(names, [shown for shown, _ in _colours(kernels)[:-1]])
        label = f"{name} ({rows.sum()})"
        upper.scatter(measured[rows], predicted[rows], s=7, color=colour, label=label, linewidths=0)
        lower.scatter(measured[rows], 100 * (predicted[rows] / measured[rows] - 1), s=5, color=colour, linewidths=0)
    upper.set(xscale="log", yscale="log", xlim=ends, ylim=ends, ylabel="predicted ms, held out", title=title)
    upper.legend(fontsize=8, loc="upper left")
    lower.axhspan(-10, 10, color="black", alpha=0.1)
    lower.set(xscale="log", ylim=(-60, 60), xlabel="measured ms", ylabel="error, %")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    return picture.getvalue()


def _colours(kernels: Sequence[str]) -> list[tuple[str, str]]:
    """(class, colour) of the most frequent classes, the rest together as "other"."""
    counts = sorted(set(kernels), key=lambda name: (-list(kernels).count(name), name))
    shown = list(zip(counts, COLOURS, strict=False))
    return shown + ([("other", REST)] if len(counts) > len(COLOURS) else [])


def picture_of(out: Path) -> Path:
    """The plot beside a predictor."""
    return out.with_name(out.name + ".png")


def save_fitted(fitted: Fitted, out: Path, *, force: bool = False) -> None:
    """Write a predictor, and its held-out predictions, where there are any, as a plot beside it.

    Raises UsageError for existing files.
    """
    predictor, validation = fitted.predictor, fitted.best
    if not validation.samples:
        write_together({out: predictor.to_bytes()}, force=force)
        return
    kernels, about = [sample.kernel for sample in validation.samples], predictor.metadata
    title = f"{about['gpu'] or about['device']}, {about['framework']}: {validation.split} held out"
    picture = draw_fit(
        measured_ms(validation.samples), validation.predicted, kernels, title,
        predictor.conformal.level, predictor.factors(validation.samples),
    )  # fmt: skip
    write_together({out: predictor.to_bytes(), picture_of(out): picture}, force=force)
