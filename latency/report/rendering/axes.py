"""What plots are drawn on: scales from numbers to pixels, ticks, a frame with titles. Colours are page.css's business.

An SVG is shown at about its own size: texts of 12 px stay readable on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from latency.report.rendering.markup import Html, element

#: pixels around the plane of a frame: left, top, right, bottom
MARGINS = (44, 26, 12, 40)


@dataclass(frozen=True)
class Scale:
    """From numbers `low` to `high` to pixels `start` to `end`; by logarithms where `log`, for numbers above 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within, at most `most` or the fewest steps there are."""
        return _log_ticks(self.low, self.high, most) if self.log else _ticks(self.low, self.high, most)


def spanning(values: Iterable[float], start: float, end: float, log: bool = False, pad: float = 0.0) -> Scale:
    """A scale that holds all finite values, and `pad` of their span beyond on both sides; any where there are none."""
    finite = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = (min(finite), max(finite)) if finite else (1.0, 2.0) if log else (0.0, 1.0)
    if log:
        extra = max((high / low) ** pad, 1.02)
        return Scale(low / extra, high * extra, start, end, True)
    extra = pad * (high - low) or (0.0 if high > low else 0.5)
    return Scale(low - extra, high + extra, start, end)


def _ticks(low: float, high: float, most: int) -> list[float]:
    step = 10 ** math.floor(math.log10(max(high - low, 1e-12) / most))
    for factor in (1, 2, 5, 10):
        first = math.ceil(low / (step * factor) - 1e-9)
        last = math.floor(high / (step * factor) + 1e-9)
        if last - first < most:
            break
    return [index * step * factor for index in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 4, 6, 8), (1, 2, 4, 6), (1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [value for value in ticks if low * 0.999 <= value <= high * 1.001]
        if len(ticks) <= most:
            break
    return ticks


def plain(value: float) -> str:
    """A tick's number without needless digits."""
    return f"{value:.6g}"


def shorten(name: str, letters: int) -> str:
    """A name of at most so many letters; of a longer one the end, which tells layers apart."""
    return name if len(name) <= letters else f"\N{HORIZONTAL ELLIPSIS}{name[1 - letters :]}"


def text(at: tuple[float, float], said: str, class_: str = "", anchor: str = "start", **more: Any) -> Html:
    """A text at a pixel (x, y); `anchor`: start, middle or end."""
    return element("text", said, x=at[0], y=at[1], class_=class_ or None, text_anchor=anchor, **more)


def line(start: tuple[float, float], end: tuple[float, float], class_: str) -> Html:
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, *children: Any, **more: Any) -> Html:
    """Points joined by straight lines."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""
    return element("path", *children, d=d, class_=class_, **more)


def svg(width: float, height: float, label: str, *children: Any, class_: str = "") -> Html:
    """A drawing with a text for who cannot see it."""
    return element(
        "svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_=class_ or None
    )


def grid(y: Scale, left: float, right: float, most: int = 5, class_: str = "", gap: float = 6) -> list[Html]:
    """Lines across the plane at the ticks of y, with their numbers left of it."""
    drawn: list[Html] = []
    for tick in y.ticks(most):
        drawn += [line((left, y(tick)), (right, y(tick)), "grid"),
                  text((left - gap, y(tick) + 4), plain(tick), class_, "end")]  # fmt: skip
    return drawn


def frame(
    size: tuple[float, float], scales: tuple[Scale, Scale], titles: tuple[str, str], label: str, *children: Any
) -> Html:
    """A drawing of (width, height) pixels with axes x and y, their titles, a grid, and the children over it."""
    x, y = scales
    left, right, top, bottom = x.start, x.end, min(y.start, y.end), max(y.start, y.end)
    drawn = grid(y, left, right)
    for tick in x.ticks(6):
        drawn += [line((x(tick), bottom), (x(tick), bottom + 4), "axis"),
                  text((x(tick), bottom + 17), plain(tick), "", "middle")]  # fmt: skip
    drawn += [
        line((left, bottom), (right, bottom), "axis"),
        text((right, bottom + 34), titles[0], "title", "end"),
        text((2, top - 12), titles[1], "title"),
    ]
    return svg(*size, label, drawn, *children)
