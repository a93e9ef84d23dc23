"""Where the time goes: both networks layer by layer, by block, and by their longest kernels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from latency.report.rendering.axes import Scale, grid, line, shorten, svg, text
from latency.report.rendering.document import Cell, Column, Figure, Section, Table
from latency.report.rendering.formats import TIED, layer_ms, to_fixed
from latency.report.rendering.markup import Html, element
from latency.report.result import Values
from latency.report.sections.layers import KINDS, Pair, kernel_pairs, show_fastest_tried

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1160, 270, 44, 26, 58
#: about how wide a letter is
LETTER = 6.6
#: of paired bars: the drawing's width, where bars end, a row's height
PAIRED, END, ROW = 380, 318, 46
OTHER = "copies and what else is no layer"
LONGEST = 8
#: parts of an inference, by their keys in the result, each with a note; short, so that a narrow page shows the numbers
PARTS = {
    "kernels_ms": ("layers' kernels", "by event clock"),
    "gaps_ms": ("between kernels", ""),
    "outside_ms": ("outside of these", "launch and return"),
}
WHOLE = ("an inference", "by wall clock")
#: layers that take longer than so many times what nine in ten do not exceed are cut in the drawing
CUT = 3.0
#: letters over a bar
LONGEST_NAME = 52


def times_section(result: Values) -> Section | None:
    """The section; None without a time."""
    layers = [show_fastest_tried(layer) for layer in result["layers"] if dense_ms(layer) is not None]
    pairs = kernel_pairs(result)
    parts: list[Figure | Table] = [latency_by_layer(layers)] if layers else []
    parts += [table] if (table := parts_table(result)) is not None else []
    if pairs:
        parts += [_bars("By block", _by_block(result, pairs), "Both networks' kernels, in one interleaved run."),
                  _bars("The longest kernels", pairs[:LONGEST], _longest_caption(pairs))]  # fmt: skip
    lead = "Pale bars are the dense network, accented ones the sparse; hollow bars are predicted, filled ones measured."
    return Section("times", "Where the time goes", lead, tuple(parts)) if parts else None


def parts_table(result: Values) -> Table | None:
    """The headline's times in parts that add up to them; None where the device keeps no log of kernels."""
    breakdown, headline = result.get("breakdown") or {}, result["headline"]
    if not breakdown:
        return None
    rows = [
        *((label, *(breakdown[which][key] for which in KINDS)) for key, label in PARTS.items()),
        (WHOLE, *(headline[f"{which}_ms"] for which in KINDS)),
    ]
    cells = tuple((Cell(*label), *(Cell(to_fixed(ms, 2), mark="measured") for ms in times)) for label, *times in rows)
    columns = (Column("Part"), Column("Dense", "ms", "number"), Column("Sparse", "ms", "number"))
    return Table("What an inference consists of, ms", columns, cells)


def dense_ms(layer: Values) -> float | None:
    """Of the best dense kernel, measured or else predicted."""
    measured = layer.get("dense_ms")
    return layer.get("predicted_dense_ms") if measured is None else measured


def sparse_ms(layer: Values) -> float | None:
    """Of the best sparse kernel, measured or else predicted."""
    measured = layer.get("sparse_ms")
    return layer.get("predicted_sparse_ms") if measured is None else measured


def latency_by_layer(layers: Sequence[Values]) -> Figure:
    """All layers side by side, in the network's order."""
    most, cut = _height(layers)
    y = Scale(0.0, most, HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - 8) / len(layers)
    drawn = [text((2, 12), "ms", "title"), *grid(y, LEFT, WIDTH)]
    drawn += [_columns(layer, LEFT + 4 + index * step, step, y) for index, layer in enumerate(layers)]
    drawn += _block_labels(layers, step)
    label = (
        f"Latency of {len(layers)} layers, dense and sparse, in the network's order; the table by layer has the numbers"
    )
    caption = "In the network's order. A stroke over a dense bar is the fastest sparse kernel that was not chosen."
    caption += " Bars that are cut bear their time." if cut else ""
    return Figure("By layer", caption, svg(WIDTH, HEIGHT, label, drawn, class_="wide"), wide=True)


def _height(layers: Sequence[Values]) -> tuple[float, bool]:
    """Milliseconds that the drawing reaches to, and whether bars are cut: few very long ones would hide the others."""
    ends = sorted(value for layer in layers for value in (dense_ms(layer), sparse_ms(layer)) if value is not None)
    usual = CUT * ends[int(0.9 * (len(ends) - 1))]
    return (usual, True) if 0 < usual < ends[-1] else (ends[-1] or 1.0, False)


def _columns(layer: Values, left: float, step: float, y: Scale) -> Html:
    """One layer: dense behind, and in front sparse, or a stroke where that was not chosen."""
    width = max(1.5, step * 0.72)
    dense, sparse, chosen = dense_ms(layer), sparse_ms(layer), layer["decision"] == "sparse"
    measured = layer.get("dense_ms") is not None
    shapes = [_column(left, width, dense, y, "dense" if measured else "dense hollow")]
    if sparse is not None and chosen:
        how = "sparse" if layer.get("sparse_ms") is not None else "sparse hollow"
        shapes.append(_column(left + width * 0.22, width * 0.56, sparse, y, how))
    elif sparse is not None:
        shapes.append(line((left - 0.1 * width, y(sparse)), (left + 1.1 * width, y(sparse)), "unchosen"))
    longest = max(dense or 0.0, sparse or 0.0)
    if longest > y.high:
        shapes.append(text((left + width / 2, TOP - 6), to_fixed(longest, 1), "small", "middle"))
    said = f"{layer['name']}: dense {layer_ms(dense)} ms, sparse {layer_ms(sparse)} ms, {layer['decision']}"
    return element("g", element("title", said), shapes, data_layer=layer["name"])


def _column(left: float, width: float, value: float | None, y: Scale, class_: str) -> Html:
    top = y(value or 0.0)
    return element("rect", x=left, y=top, width=width, height=max(y.start - top, 0.5), class_=class_)


def _block_labels(layers: Sequence[Values], step: float) -> list[Html]:
    """Brackets below, with the blocks' names in one row, in a second one where they would touch, else left out."""
    drawn: list[Html] = []
    first, base, taken = 0, HEIGHT - BOTTOM + 8, [0.0, 0.0]
    for block, members in groupby(layers, key=lambda layer: layer.get("block") or ""):
        count = len(list(members))
        left, right = LEFT + 4 + first * step, LEFT + 4 + (first + count - 0.28) * step
        first += count
        width = LETTER * len(block)
        middle = min((left + right) / 2, WIDTH - width / 2)
        row = next((row for row in (0, 1) if middle - width / 2 > taken[row]), None)
        if block:
            drawn.append(line((left, base), (right, base), "axis"))
        if block and row is not None:
            taken[row] = middle + width / 2 + LETTER
            drawn.append(text((middle, base + 17 + 15 * row), block, "", "middle"))
    return drawn


def _by_block(result: Values, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs summed over blocks, in the network's order."""
    blocks = {layer["name"]: layer.get("block") or "layers of no block" for layer in result["layers"]}
    names = [*dict.fromkeys(blocks.values()), OTHER]
    sums = {name: [0.0, 0.0] for name in names}
    for name, dense, sparse in pairs:
        entry = sums[blocks.get(name, OTHER)]
        entry[0] += dense or 0.0
        entry[1] += sparse or 0.0
    return [(name, dense, sparse) for name, (dense, sparse) in sums.items() if dense or sparse]


def _longest_caption(pairs: Sequence[Pair]) -> str:
    total, shown = (
        sum(max(dense or 0.0, sparse or 0.0) for _, dense, sparse in some) for some in (pairs, pairs[:LONGEST])
    )
    return f"{min(LONGEST, len(pairs))} of {len(pairs)}, {100 * shown / (total or 1):.0f}{TIED}% of the time."


def _bars(title: str, pairs: Sequence[Pair], caption: str) -> Figure:
    longest = max(max(dense or 0.0, sparse or 0.0) for _, dense, sparse in pairs)
    x = Scale(0.0, longest or 1.0, 0.0, END)
    digits = 1 if longest >= 10 else 2 if longest >= 1 else 3
    drawn = [_pair(pair, x, ROW * index, digits) for index, pair in enumerate(pairs)]
    columns = (Column("Kernels"), Column("Dense", "ms", "number"), Column("Sparse", "ms", "number"))
    rows = tuple(
        (Cell(name), Cell(to_fixed(dense, digits), mark="measured"), Cell(to_fixed(sparse, digits), mark="measured"))
        for name, dense, sparse in pairs
    )
    picture = svg(PAIRED, ROW * len(pairs), f"{title}: dense and sparse milliseconds", drawn)
    return Figure(title, caption, picture, Table(f"{title}, ms", columns, rows))


def _pair(pair: Pair, x: Scale, top: float, digits: int) -> Html:
    name, dense, sparse = pair
    drawn: list[Any] = [element("title", name), text((0, top + 13), shorten(name, LONGEST_NAME), "label")]
    for row, (value, class_) in enumerate(((dense, "dense"), (sparse, "sparse"))):
        if value is not None:
            at = top + 19 + 11 * row
            drawn += [element("rect", x=0, y=at, width=max(x(value), 0.5), height=9, class_=class_),
                      text((x(value) + 6, at + 8.5), to_fixed(value, digits), "small")]  # fmt: skip
    return element("g", drawn, data_layer=name)
