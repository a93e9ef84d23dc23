"""What zeros cost: whom the sparse network still finds; a plot for each block, its curve over those of all others."""

from __future__ import annotations

from collections.abc import Mapping

from latency.report.rendering.axes import Scale, grid, path, plain, shorten, spanning, svg, text
from latency.report.rendering.document import Cell, Column, Figure, Part, Section, Table
from latency.report.rendering.formats import to_fixed
from latency.report.rendering.markup import Html, element
from latency.report.result import Values
from latency.report.sections.agreement import ABOUT_AGREEMENT, agreement_table

SIZE, LEFT, TOP, RIGHT, BOTTOM = (200, 150), 34, 26, 8, 24

#: (zeros, loss), ascending
Curve = list[tuple[float, float]]


def accuracy_section(result: Values) -> Section | None:
    """The section; None without an agreement and a sensitivity file's content."""
    content = result.get("sensitivity") or {}
    blocks = {name: _curve(curve) for name, curve in (content.get("blocks") or {}).items() if curve}
    headline = result["headline"]
    agreement = headline.get("agreement")
    parts: list[Part] = [agreement_table(headline)] if agreement else []
    parts += [_blocks_figure(content, blocks)] if blocks else []
    leads = (*([ABOUT_AGREEMENT] if agreement else []), *([_lead(content)] if blocks else []))
    return Section("accuracy", "What zeros cost", " ".join(leads), tuple(parts)) if parts else None


def _blocks_figure(content: Values, blocks: Mapping[str, Curve]) -> Figure:
    measure = content.get("measure") or "loss"
    lost = "AP lost" if measure == "AP" else str(measure)
    caption = (
        f"{lost} against the fraction of zeros in one block, all others dense. Each plot repeats the others in pale."
    )
    return Figure(f"{lost} by block", caption, _panels(blocks, lost), _table(blocks, lost), wide=True)


def _lead(content: Values) -> str:
    relation = content.get("relation")
    if not relation or relation.get("spearman") is None:
        return "No photographs were annotated, so that what is lost is how far the outputs move, not AP."
    return (
        f"AP was measured by block. Single layers are judged by how far the outputs move, which ranks "
        f"{relation.get('points', 'the')} measured points as AP does with a correlation of {relation['spearman']:.2f}."
    )


def _curve(curve: Mapping[str, float]) -> Curve:
    return sorted((float(zeros), float(loss)) for zeros, loss in curve.items())


def _points(curve: Curve, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """Pixels of a curve, from the dense network on, which loses nothing."""
    return [(x(zeros), y(loss)) for zeros, loss in [(0.0, 0.0), *curve]]


def _panels(blocks: Mapping[str, Curve], lost: str) -> Html:
    points = [point for curve in blocks.values() for point in curve]
    x = spanning([0.0, *(zeros for zeros, _ in points)], LEFT, SIZE[0] - RIGHT)
    y = spanning([0.0, *(loss for _, loss in points)], SIZE[1] - BOTTOM, TOP)
    return element("div", [_panel(name, blocks, x, y, lost) for name in blocks], class_="panels")


def _panel(name: str, blocks: Mapping[str, Curve], x: Scale, y: Scale, lost: str) -> Html:
    own = _points(blocks[name], x, y)
    others = [path(_points(curve, x, y), "others") for other, curve in blocks.items() if other != name]
    drawn = [text((2, 12), shorten(name, 26), "label"), *grid(y, LEFT, SIZE[0] - RIGHT, 3, "small", 5)]
    drawn += [text((x(tick), SIZE[1] - 6), plain(tick), "small", "middle") for tick in x.ticks(4)]
    zeros, loss = blocks[name][-1]
    label = f"{name}: {lost} {loss:.3g} at {zeros:g} zeros"
    dots = [element("circle", cx=left, cy=top, r=2.4, class_="dot") for left, top in own[1:]]
    return svg(*SIZE, label, drawn, others, element("g", path(own, "stroke"), dots, class_="curve pruned"))


def _table(blocks: Mapping[str, Curve], lost: str) -> Table:
    fractions = sorted({zeros for curve in blocks.values() for zeros, _ in curve})
    columns = (Column("Block"), *(Column(f"{zeros:g}", "zeros", "number") for zeros in fractions))
    rows = tuple(
        (Cell(name), *(Cell(to_fixed(dict(curve).get(zeros), 4)) for zeros in fractions))
        for name, curve in blocks.items()
    )
    return Table(f"{lost} by block and fraction of zeros", columns, rows)
