"""Layer by layer: what each is, its best dense and sparse kernels, their ratio, and what was decided and why."""

from __future__ import annotations

from math import prod

from latency.report.rendering.document import Cell, Column, Section, Table
from latency.report.rendering.formats import (
    ARROW,
    NOTHING,
    TIMES,
    Number,
    interval,
    join_texts,
    layer_ms,
    shape,
    times,
    to_fixed,
)
from latency.report.result import Values
from models.plans.cost import percent

Pair = tuple[str, float | None, float | None]
KINDS = ("dense", "sparse")
COLUMNS = (
    Column("Layer"),
    Column("Shape", "of the output"),
    Column("Best dense kernel", "", "brief"),
    Column("Dense", "ms, IQR", "number"),
    Column("Sparse kernel", "", "brief"),
    Column("Sparse", "ms, IQR", "number"),
    Column("In the network", f"dense {ARROW} planned, ms", "number"),
    Column("Ratio", f"measured, {TIMES}", "number"),
    Column("Ratio", f"predicted, {TIMES}", "number"),
    Column("Break-even", "zeros", "number"),
    Column("Decision", "zeros"),
    Column("Reason", "", "words"),
)


def layers_section(result: Values) -> Section | None:
    """The section; None for a network without layers."""
    layers = result["layers"]
    if not layers:
        return None
    sparse = sum(layer["decision"] == "sparse" for layer in layers)
    convolutions = sum(layer.get("op") == "conv" for layer in layers)
    lead = (
        f"{sparse} of {convolutions} convolutions are sparse. A ratio is the dense time over the sparse one, each by "
        f"its best kernel: above 1 sparse is faster. IQR is the middle half of the samples. In grey stands the fastest "
        f"sparse kernel that was tried and not chosen. Dense and sparse times are of a layer timed alone; those in the "
        f"network are of whole inferences, both networks in one interleaved run; with the gaps between them they "
        f"add up to the headline's."
    )
    inside = {name: (dense, sparse) for name, dense, sparse in kernel_pairs(result)}
    rows = tuple(_row(layer, *inside.get(layer["name"], (None, None))) for layer in layers)
    table = Table("Layers", COLUMNS, rows, tuple(layer["name"] for layer in layers), sortable=True)
    return Section("layers", "Layer by layer", lead, (table,))


def show_fastest_tried(layer: Values) -> Values:
    """A layer that stays dense with its fastest measured variant as the sparse one, where nothing else stands there."""
    tried = layer.get("fastest_tried")
    if layer["decision"] == "sparse" or not tried or layer.get("variant"):
        return layer
    return {**layer, "variant": tried["variant"], "sparse_ms": tried["ms"], "measured_ratio": tried["measured_ratio"]}


def kernel_pairs(result: Values) -> list[Pair]:
    """(layer, dense ms, sparse ms) of kernels in both networks, the longest first; None where one of them lacks it."""
    kernels = result.get("kernels") or {}
    sums: dict[str, dict[str, float]] = {}
    for which in KINDS:
        for kernel in kernels.get(which) or ():
            times_ms = sums.setdefault(kernel["name"], {})
            times_ms[which] = times_ms.get(which, 0.0) + kernel["ms"]
    pairs = [(name, times_ms.get("dense"), times_ms.get("sparse")) for name, times_ms in sums.items()]
    return sorted(pairs, key=lambda pair: -max(pair[1] or 0.0, pair[2] or 0.0))


def _row(layer: Values, dense_inside: float | None, sparse_inside: float | None) -> tuple[Cell, ...]:
    layer = show_fastest_tried(layer)
    sparse = layer["decision"] == "sparse"
    tone = "sparse" if sparse else "quiet"
    zeros = layer.get("zeros") or 0.0
    return (
        Cell(layer["name"], join_texts(kind_of(layer), _work(layer)), layer["name"]),
        Cell(shape(layer["out_shape"]), f"from {shape(layer['in_shape'])}", prod(layer["out_shape"])),
        Cell(layer.get("dense_schedule") or NOTHING),
        _time(layer, "dense"),
        Cell(layer.get("variant") or NOTHING, layer.get("sparse_schedule") or "", tone="" if sparse else tone),
        _time(layer, "sparse", tone),
        _inside(dense_inside, sparse_inside),
        _number(layer.get("measured_ratio"), times(layer.get("measured_ratio")), "measured", tone),
        _number(
            layer.get("predicted_ratio"), times(layer.get("predicted_ratio")), "predicted", tone,
            interval(layer.get("predicted_interval")),
        ),
        _number(layer.get("break_even"), to_fixed(layer.get("break_even"), 2)),
        Cell("sparse", f"{zeros:.2f} zeros{_odds(layer)}", zeros, tone=tone) if sparse else Cell("dense", key=0.0),
        Cell(layer.get("reason") or NOTHING),
    )  # fmt: skip


def _odds(layer: Values) -> str:
    """With what probability a sparse layer was decided to be faster; results of before do not say it."""
    faster = layer.get("probability_faster")
    return "" if faster is None else f", faster with {percent(faster)}"


def kind_of(layer: Values) -> str:
    """ "3x3" of a convolution, "3x3 depthwise", "3x3, 8 groups", "3x3 max_pool"."""
    groups, op = layer.get("groups") or 1, layer.get("op") or "layer"
    kernel = layer.get("kernel")
    parts = [shape(kernel)] if kernel and (op == "conv" or max(kernel) > 1) else []
    if op != "conv":
        parts.append(op)
    elif groups > 1 and groups == layer["out_shape"][0]:
        parts.append("depthwise")
    return " ".join(parts or [op]) + (f", {groups} groups" if groups > 1 and "depthwise" not in parts else "")


def _work(layer: Values) -> str:
    return f"{layer['macs'] / 1e6:.1f} MMACs" if layer.get("macs") else ""


def _time(layer: Values, which: str, tone: str = "") -> Cell:
    """The measured time with its IQR, else the predicted one, which says so."""
    measured, predicted = layer.get(f"{which}_ms"), layer.get(f"predicted_{which}_ms")
    if measured is not None or predicted is None:
        iqr = interval(layer.get(f"{which}_iqr_ms"), 3)
        return _number(measured, layer_ms(measured), "measured", tone, iqr)
    return _number(predicted, layer_ms(predicted), "predicted", tone, "predicted")


def _inside(dense: float | None, sparse: float | None) -> Cell:
    """A layer's times in the dense and the planned network."""
    if dense is None or sparse is None:
        return Cell(NOTHING)
    return _number(dense, f"{layer_ms(dense)} {ARROW} {layer_ms(sparse)}", "measured")


def _number(key: Number, said: str, mark: str = "", tone: str = "", note: str = "") -> Cell:
    return Cell(said, note, key, mark if said != NOTHING else "", tone)
