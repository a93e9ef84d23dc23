"""The headline's drawing: the dense and the sparse network's time as bars, with their spread and what was predicted."""

from __future__ import annotations

from typing import NamedTuple

from latency.report.rendering.axes import Scale, line, svg, text
from latency.report.rendering.formats import Number, network_digits, to_fixed
from latency.report.rendering.markup import Html, element
from latency.report.result import Values

#: pixels: of the drawing; where bars begin and end; their height and distance
WIDTH, HEIGHT, LEFT, END, THICK, STEP = 400, 112, 50, 304, 32, 44


class Bar(NamedTuple):
    """One network's time, ms: measured with its IQR, and predicted."""

    name: str
    ms: Number
    predicted: Number
    iqr: list[float] | None


def picture(headline: Values) -> Html:
    """The drawing of a result's headline; nothing where there is no time to draw."""
    bars = [Bar(name, headline.get(f"{name}_ms"), headline.get(f"predicted_{name}_ms"), headline.get(f"{name}_iqr_ms"))
            for name in ("dense", "sparse")]  # fmt: skip
    ends = [value for bar in bars for value in (bar.ms, bar.predicted, *(bar.iqr or ())) if value is not None]
    if not ends:
        return Html()
    x = Scale(0.0, max(ends), LEFT, END)
    digits = network_digits(*(bar.ms for bar in bars))
    label = "; ".join(
        f"{bar.name} {to_fixed(bar.ms, digits)} ms, predicted {to_fixed(bar.predicted, digits)}" for bar in bars
    )
    drawn = [_bar(bar, x, STEP * index, digits) for index, bar in enumerate(bars)]
    return svg(WIDTH, HEIGHT, label, drawn, _legend(HEIGHT - 4), class_="bars")


def _bar(bar: Bar, x: Scale, top: float, digits: int) -> list[Html]:
    middle, base = top + THICK / 2, top + THICK / 2 + 5
    drawn = [text((0, base), bar.name, "label")]
    if bar.ms is None:
        drawn.append(text((WIDTH, base), "not measured", "small", "end"))
    else:
        drawn.append(element("rect", x=LEFT, y=top, width=max(x(bar.ms) - LEFT, 1), height=THICK, class_=bar.name))
        drawn.append(text((WIDTH, base), f"{to_fixed(bar.ms, digits)} ms", "value", "end"))
    if bar.iqr and None not in bar.iqr:
        drawn.append(line((x(bar.iqr[0]), middle), (x(bar.iqr[1]), middle), "whisker"))
    if bar.predicted is not None:
        drawn.append(element("circle", cx=x(bar.predicted), cy=middle, r=4.5, class_="hollow"))
    return drawn


def _legend(base: float) -> list[Html]:
    return [
        line((LEFT, base - 4), (LEFT + 14, base - 4), "whisker"),
        text((LEFT + 20, base), "middle half of samples", "small"),
        element("circle", cx=LEFT + 172, cy=base - 4, r=4.5, class_="hollow"),
        text((LEFT + 182, base), "predicted", "small"),
    ]
