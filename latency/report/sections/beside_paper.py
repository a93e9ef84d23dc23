"""The paper's Table 1, Table 2 and Figure 3 with this result in rows of its own; every number says where it is from.

What this result says nothing about stays empty: no other network is run, and no number is carried from one device to
another.
"""

from __future__ import annotations

from collections.abc import Sequence

from latency.report.rendering.document import Cell, Column, Section, Table
from latency.report.rendering.formats import NOTHING, TIMES, Number, as_printed, times, to_fixed
from latency.report.result import Values
from models.zoo.paper import FIGURE_3, FIGURE_3_DEVICE, TABLE_1, TABLE_2, Published

Row = tuple[Cell, ...]

#: networks that are Lightweight OpenPose, so that a speed over their own dense one is one over it
BASELINES = ("lwop",)

TITLES = {"resnet50": "ResNet50", "resnet50_2": "ResNet50_2", "resnet50_3_t1": "ResNet50_3", "resnet50_4": "ResNet50_4"}


def paper_section(result: Values) -> Section:
    """The section."""
    lead = (
        "The paper: Towards Fast and Accurate Multi-Person Pose Estimation on Mobile Devices, IJCAI-21. Its GFLOPs are "
        "multiply-adds with biases and batch norm, ours are those of the convolutions. Its AP is on COCO, "
        "ours on the photographs that were given."
    )
    caveat = (
        f"The paper's speeds are of its own compiler and its own Lightweight OpenPose on a {FIGURE_3_DEVICE}; they do "
        f"not compare with times here, only the ratios do, and only as far as the baseline is the same."
    )
    parts = (_table_1(result), _table_2(result), _figure_3(result), caveat)
    return Section("paper", "Beside the paper", lead, parts)


def _marked(said: str, mark: str, tone: str = "") -> Cell:
    """A number and where it is from; an empty cell where there is none."""
    return Cell(said, mark=mark, tone=tone) if said != NOTHING else Cell(NOTHING)


def _paper(value: Number, least: int = 0) -> Cell:
    """A number as the paper prints it, with at least so many decimals."""
    return _marked(as_printed(value, least), "paper")


def _ours(value: Number, digits: int, mark: str, unit: float = 1.0) -> Cell:
    """A number of this result, in so many units."""
    return _marked(to_fixed(None if value is None else value / unit, digits), mark, "sparse")


def _name(said: str, note: str = "this result") -> Cell:
    return Cell(said, note, tone="sparse")


def _with_own(published: Sequence[tuple[str, Row]], model: str, own: Sequence[Row]) -> tuple[Row, ...]:
    """The paper's rows (model, row), and after the last of the result's model, else at the end, the result's own."""
    at = max((index for index, (name, _) in enumerate(published) if name == model), default=len(published) - 1)
    rows = [row for _, row in published]
    return (*rows[: at + 1], *own, *rows[at + 1 :])


def _table_1(result: Values) -> Table:
    published: list[tuple[str, Row]] = [
        (model, (Cell(TITLES[model]), _paper(facts.layers), _paper(facts.gmacs), _paper(facts.ap, 2),
                 _paper(facts.map, 2)))
        for model, facts in TABLE_1.items()
    ]  # fmt: skip
    columns = (
        Column("Network, dense"), Column("Backbone", "convolutions", "number"), Column("GMACs", "", "number"),
        Column("AP", "", "number"), Column("mAP", "probably AP at OKS 0.5", "number"),
    )  # fmt: skip
    rows = _with_own(published, result["model"], [_dense_1(result)])
    return Table("Table 1: depths at about one budget", columns, rows, marked=True)


def _dense_1(result: Values) -> Row:
    headline = result["headline"]
    backbone = sum(layer.get("block") == "backbone" and layer.get("op") == "conv" for layer in result["layers"]) or None
    return (
        _name(f"{result['model']}, dense"),
        _ours(backbone, 0, "counted"),
        _ours(headline.get("macs_dense"), 2, "counted", 1e9),
        _ours(headline.get("ap_dense"), 3, "torch"),
        Cell(NOTHING),
    )


def _table_2(result: Values) -> Table:
    published: list[tuple[str, Row]] = [
        (row.model, (Cell(_with_sign(row.name)), _paper(row.side), _paper(row.params_m), _paper(row.gmacs),
                     _paper(row.ap, 2)))
        for row in TABLE_2
    ]  # fmt: skip
    columns = (
        Column("Network"), Column("Input", "pixels", "number"), Column("Parameters", "M", "number"),
        Column("GMACs", "", "number"), Column("AP", "", "number"),
    )  # fmt: skip
    names = (("dense", "dense", "dense"), ("kept", "sparse", _ratio(result["headline"])))
    rows = _with_own(published, result["model"], [_row_2(result, *which) for which in names])
    return Table("Table 2: accuracy and size", columns, rows, marked=True)


def _row_2(result: Values, counted: str, judged: str, name: str) -> Row:
    headline = result["headline"]
    side = TIMES.join(map(str, dict.fromkeys(result.get("size") or ())))
    return (
        _name(f"{result['model']}, {name}"),
        Cell(side or NOTHING, tone="sparse"),
        _ours(headline.get(f"params_{counted}"), 2, "counted", 1e6),
        _ours(headline.get(f"macs_{counted}"), 1, "counted", 1e9),
        _ours(headline.get(f"ap_{judged}"), 3, "torch"),
    )


def _figure_3(result: Values) -> Table:
    dense = next(row.over_lwop for row in FIGURE_3 if row.model == "resnet50_3" and row.ratio == "dense")
    published = [(row.model, _paper_3(row, dense)) for row in FIGURE_3]
    columns = (
        Column("Network"), Column("On", "", "brief"), Column("Over Lightweight OpenPose", TIMES, "number"),
        Column("Over the same network dense", TIMES, "number"),
    )  # fmt: skip
    rows = _with_own(published, result["model"], [_own_3(result, mark) for mark in ("measured", "predicted")])
    return Table("Figure 3: speed", columns, rows, marked=True)


def _paper_3(row: Published, dense: float | None) -> Row:
    own = row.over_lwop / dense if row.model == "resnet50_3" and row.over_lwop and dense else None
    return (
        Cell(_with_sign(row.name)),
        Cell(FIGURE_3_DEVICE),
        _marked(times(row.over_lwop), "paper"),
        Cell(times(own), "ratio of two bars", mark="paper") if own else Cell(NOTHING),
    )


def _own_3(result: Values, mark: str) -> Row:
    headline = result["headline"]
    speed = _marked(times(headline.get("speedup" if mark == "measured" else "predicted_speedup")), mark, "sparse")
    return (
        _name(f"{result['model']}, {_ratio(headline)}", f"this result, {mark}"),
        Cell(result["device"].get("name") or "the device"),
        speed if result["model"] in BASELINES else Cell(NOTHING, "not timed beside it"),
        speed,
    )


def _ratio(headline: Values) -> str:
    """The pruned network's name as the paper has it: dense / kept parameters."""
    dense, kept = headline.get("params_dense"), headline.get("params_kept")
    return times(dense / kept) if dense and kept else "sparse"


def _with_sign(name: str) -> str:
    """ "2.15x" with a multiplication sign."""
    return f"{name[:-1]}{TIMES}" if name.endswith("x") else name
