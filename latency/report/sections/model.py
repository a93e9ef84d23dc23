"""When zeros pay: break-even curves of the layers, and how well the predictor knew the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from latency.report.rendering.axes import MARGINS, Scale, frame, line, path, spanning, text
from latency.report.rendering.document import Cell, Column, Figure, Part, Section, Table
from latency.report.rendering.formats import TIMES, share, times, to_fixed
from latency.report.rendering.markup import Html, element
from latency.report.result import Values

SIZE = (380, 320)
#: pixels of the plane: x from left to right, y from bottom to top
PLANE_X, PLANE_Y = (MARGINS[0], SIZE[0] - MARGINS[2]), (SIZE[1] - MARGINS[3], MARGINS[1])
#: the factor that the band around predicted = measured reaches to
BAND = 1.25
#: a predictor's metrics by their names in `latency.cost_model.metrics`: (in words, as per cent)
METRICS = {
    "mape": ("mean error", True),
    "median_ape": ("median error", True),
    "rmspe": ("root mean square error", True),
    "within_5": ("within 5 %", True),
    "within_10": ("within 10 %", True),
    "interval_coverage": ("measured within the 90 % interval", True),
    "spearman": ("rank correlation (Spearman)", False),
    "kendall": ("rank correlation (Kendall)", False),
}


def model_section(result: Values) -> Section | None:
    """The section; None without curves and predictions."""
    curves = [curve for curve in result.get("curves") or () if len(curve.get("ratios") or ()) > 1]
    predictor = result.get("predictor") or {}
    pairs = [pair for pair in predictor.get("pairs") or () if pair["predicted_ms"] > 0 and pair["measured_ms"] > 0]
    parts: list[Part] = [break_even_curves(curves, result["layers"])] if curves else []
    parts += [predicted_and_measured(pairs, predictor.get("split"))] if pairs else []
    metrics = metrics_table(predictor.get("metrics") or {}, len(pairs))
    parts += [metrics] if metrics else []
    lead = (
        "A sparse kernel has an overhead. It pays from a layer's break-even on, against that layer's best dense kernel."
    )
    return Section("model", "When zeros pay", lead, tuple(parts)) if parts else None


def break_even_curves(curves: Sequence[Values], layers: Sequence[Values]) -> Figure:
    """Speed-up over the best dense kernel against dense / kept weights, for every layer."""
    left, right = PLANE_X
    measured = [point for curve in curves for point in curve.get("measured") or ()]
    x = spanning(
        [*(ratio for curve in curves for ratio in curve["ratios"]), *(point["ratio"] for point in measured)],
        left, right, log=True,
    )  # fmt: skip
    speeds = [*(speed for curve in curves for speed in curve["speedups"]), *(point["speedup"] for point in measured)]
    y = spanning([1.0, *speeds], *PLANE_Y, log=True)
    sparse = {layer["name"] for layer in layers if layer["decision"] == "sparse"}
    ordered = sorted(curves, key=lambda curve: curve["layer"] in sparse)
    drawn = [_curve(curve, x, y, curve["layer"] in sparse) for curve in ordered]
    level = [line((left, y(1.0)), (right, y(1.0)), "level"), text((right, y(1.0) - 5), "break-even", "small", "end")]
    label = "Speed-up of the sparse kernel by pruning ratio, one curve for each layer; break-even is at 1"
    titles = (f"dense / kept weights, {TIMES}", f"speed-up over best dense, {TIMES}")
    picture = frame(SIZE, (x, y), titles, label, level, drawn)
    caption = (
        f"Predicted curves of {len(curves)} layers, pruned ones in the accent; dots are measured. Over the "
        f"line the sparse kernel is faster."
    )
    return Figure("Break-even", caption, picture, _crossings(curves, sparse))


def _curve(curve: Values, x: Scale, y: Scale, pruned: bool) -> Html:
    points = [(x(ratio), y(speed)) for ratio, speed in sorted(zip(curve["ratios"], curve["speedups"], strict=True))]
    dots = [
        element("circle", cx=x(point["ratio"]), cy=y(point["speedup"]), r=2.6, class_="dot")
        for point in curve.get("measured") or ()
    ]
    title = element("title", curve["layer"])
    tone = "curve pruned" if pruned else "curve"
    return element("g", title, path(points, "stroke"), dots, class_=tone, data_layer=curve["layer"])


def _crossings(curves: Sequence[Values], sparse: set[str]) -> Table:
    """At what ratio each curve last passes 1, and its best speed-up."""
    columns = (Column("Layer"), Column("Faster from", TIMES, "number"), Column("At most", TIMES, "number"))
    rows = tuple(
        (
            Cell(curve["layer"], curve.get("family") or "", tone="sparse" if curve["layer"] in sparse else ""),
            Cell(times(crossing(curve["ratios"], curve["speedups"])), mark="predicted"),
            Cell(times(max(curve["speedups"])), mark="predicted"),
        )
        for curve in curves
    )
    return Table(
        "Ratio of dense to kept weights from which on sparse is faster, and the largest speed-up", columns, rows
    )


def crossing(ratios: Sequence[float], speedups: Sequence[float]) -> float | None:
    """The ratio from which on the speed-up stays at 1 or above, between points by a straight line; None: never."""
    points = sorted(zip(ratios, speedups, strict=True), reverse=True)
    if not points or points[0][1] < 1:
        return None
    for (upper, fast), (lower, slow) in pairwise(points):
        if slow < 1:
            return lower + (upper - lower) * (1 - slow) / (fast - slow)
    return points[-1][0]


def predicted_and_measured(pairs: Sequence[Mapping[str, float]], split: str | None = None) -> Figure:
    """Predictions against measurements, both logarithmic. `split`: what was held out together, such as "shape"."""
    values = [value for pair in pairs for value in (pair["predicted_ms"], pair["measured_ms"])]
    x, y = (spanning(values, *ends, log=True, pad=0.03) for ends in (PLANE_X, PLANE_Y))
    low, high = x.low, x.high
    band = [(low, low), (low, low * BAND), (high / BAND, high), (high, high), (high, high / BAND), (low * BAND, low)]
    drawn = [
        path([(x(across), y(up)) for across, up in band], "band"),
        line((x(x.low), y(y.low)), (x(x.high), y(y.high)), "level"),
        _dots([(x(pair["measured_ms"]), y(pair["predicted_ms"])) for pair in pairs]),
    ]
    held = f", held out by {split}" if split else ""
    errors = sorted(abs(pair["predicted_ms"] / pair["measured_ms"] - 1) for pair in pairs)
    label = f"Predicted against measured milliseconds of {len(pairs)} kernels; median error {share(median(errors))}"
    picture = frame(SIZE, (x, y), ("measured, ms", "predicted, ms"), label, drawn)
    caption = f"{len(pairs)} kernels that the predictor had not seen{held}; the band is a factor of {BAND}."
    return Figure("Predicted against measured", caption, picture)


def _dots(points: Sequence[tuple[float, float]]) -> Html:
    """Many dots as one path of round caps."""
    return element("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in points), class_="dots")


def metrics_table(metrics: Values, count: int) -> Table | None:
    """The predictor's own account of itself; None without one."""
    rows = []
    for name, (words, per_cent) in METRICS.items():
        value = metrics.get(name)
        if _is_number(value):
            rows.append((Cell(words), Cell(share(value) if per_cent else to_fixed(value, 3))))
    if count:
        rows.append((Cell("kernels held out"), Cell(str(count))))
    columns = (Column("On held-out kernels"), Column("", "", "number"))
    return Table("How good predictions are", columns, tuple(rows)) if rows else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
