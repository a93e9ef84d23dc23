"""The paper's Table 1, Table 2 and Figure 3 with this result in rows of its own; every number says where it is from.

What this result says nothing about stays empty: no other network is run, and no number is carried from one device to
another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def _paper(value: Number, said: str) -> Cell:
    return Cell(said, mark="paper") if value is not None else Cell(NOTHING)


def _ours(value: Number, said: str, mark: str) -> Cell:
    return Cell(said, mark=mark, tone="sparse") if value is not None else Cell(NOTHING)


def _name(said: str, note: str = "this result") -> Cell:
    return Cell(said, note, tone="sparse")


def _with_own(published: Sequence[tuple[str, Row]], model: str, own: Callable[[], Sequence[Row]]) -> tuple[Row, ...]:
    """The paper's rows (model, row), and after the last of the result's model, else at the end, the result's own."""
    at = max((index for index, (name, _) in enumerate(published) if name == model), default=len(published) - 1)
    rows = [row for _, row in published]
    return (*rows[: at + 1], *own(), *rows[at + 1 :])


def _table_1(result: Values) -> Table:
    published = [
        (
            model,
            (Cell(TITLES[model]), _paper(facts.layers, str(facts.layers)), _paper(facts.gmacs, as_printed(facts.gmacs)),
             _paper(facts.ap, as_printed(facts.ap, 2)), _paper(facts.map, as_printed(facts.map, 2))),
        )
        for model, facts in TABLE_1.items()
    ]  # fmt: skip
    columns = (
        Column("Network, dense"), Column("Backbone", "convolutions", "number"), Column("GMACs", "", "number"),
        Column("AP", "", "number"), Column("mAP", "probably AP at OKS 0.5", "number"),
    )  # fmt: skip
    return Table(
        "Table 1: depths at about one budget",
        columns,
        _with_own(published, result["model"], lambda: [_dense_1(result)]),
        marked=True,
    )


def _dense_1(result: Values) -> Row:
    headline = result["headline"]
    backbone = sum(layer.get("block") == "backbone" and layer.get("op") == "conv" for layer in result["layers"]) or None
    macs, ap = headline.get("macs_dense"), headline.get("ap_dense")
    return (
        _name(f"{result['model']}, dense"),
        _ours(backbone, str(backbone), "counted"),
        _ours(macs, to_fixed((macs or 0) / 1e9, 2), "counted"),
        _ours(ap, to_fixed(ap, 3), "torch"),
        Cell(NOTHING),
    )


def _table_2(result: Values) -> Table:
    published = [
        (
            row.model,
            (Cell(_with_sign(row.name)), _paper(row.side, str(row.side)),
             _paper(row.params_m, as_printed(row.params_m)), _paper(row.gmacs, as_printed(row.gmacs)),
             _paper(row.ap, as_printed(row.ap, 2))),
        )
        for row in TABLE_2
    ]  # fmt: skip
    columns = (
        Column("Network"), Column("Input", "pixels", "number"), Column("Parameters", "M", "number"),
        Column("GMACs", "", "number"), Column("AP", "", "number"),
    )  # fmt: skip
    return Table(
        "Table 2: accuracy and size",
        columns,
        _with_own(published, result["model"], lambda: _own_2(result)),
        marked=True,
    )


def _own_2(result: Values) -> list[Row]:
    headline = result["headline"]
    side = TIMES.join(map(str, dict.fromkeys(result.get("size") or ())))
    names = (("dense", f"{result['model']}, dense"), ("kept", f"{result['model']}, {_ratio(headline)}"))
    rows: list[Row] = []
    for which, name in names:
        params, macs = headline.get(f"params_{which}"), headline.get(f"macs_{which}")
        ap = headline.get("ap_dense" if which == "dense" else "ap_sparse")
        rows.append(
            (
                _name(name),
                Cell(side or NOTHING, tone="sparse"),
                _ours(params, to_fixed((params or 0) / 1e6, 2), "counted"),
                _ours(macs, to_fixed((macs or 0) / 1e9, 1), "counted"),
                _ours(ap, to_fixed(ap, 3), "torch"),
            )
        )
    return rows


def _figure_3(result: Values) -> Table:
    dense = next(row.over_lwop for row in FIGURE_3 if row.model == "resnet50_3" and row.ratio == "dense")
    published = [(row.model, _paper_3(row, dense)) for row in FIGURE_3]
    columns = (
        Column("Network"), Column("On", "", "brief"), Column("Over Lightweight OpenPose", TIMES, "number"),
        Column("Over the same network dense", TIMES, "number"),
    )  # fmt: skip
    return Table("Figure 3: speed", columns, _with_own(published, result["model"], lambda: _own_3(result)), marked=True)


def _paper_3(row: Published, dense: float | None) -> Row:
    own = row.over_lwop / dense if row.model == "resnet50_3" and row.over_lwop and dense else None
    return (
        Cell(_with_sign(row.name)),
        Cell(FIGURE_3_DEVICE),
        _paper(row.over_lwop, times(row.over_lwop)),
        Cell(times(own), "ratio of two bars", mark="paper") if own else Cell(NOTHING),
    )


def _own_3(result: Values) -> list[Row]:
    headline, device = result["headline"], result["device"].get("name") or "the device"
    baseline = result["model"] in BASELINES
    name = f"{result['model']}, {_ratio(headline)}"

    def row(value: Number, mark: str) -> Row:
        speed = _ours(value, times(value), mark)
        return (
            _name(name, f"this result, {mark}"),
            Cell(device),
            speed if baseline else Cell(NOTHING, "not timed beside it"),
            speed,
        )

    return [row(headline.get("speedup"), "measured"), row(headline.get("predicted_speedup"), "predicted")]


def _ratio(headline: Values) -> str:
    """The pruned network's name as the paper has it: dense / kept parameters."""
    dense, kept = headline.get("params_dense"), headline.get("params_kept")
    return times(dense / kept) if dense and kept else "sparse"


def _with_sign(name: str) -> str:
    """ "2.15x" with a multiplication sign."""
    return f"{name[:-1]}{TIMES}" if name.endswith("x") else name
