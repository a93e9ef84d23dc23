"""How numbers and ranges are written: one place, so that a column has one number of digits and a gap looks like one."""

from __future__ import annotations

import math
from collections.abc import Sequence

DASH, TIMES, MINUS, ARROW = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{RIGHTWARDS ARROW}"
#: a space that no line ends at
TIED = "\N{NO-BREAK SPACE}"
#: where there is no number
NOTHING = DASH

Number = float | int | None


def to_fixed(value: Number, digits: int, sign: bool = False) -> str:
    """A number with so many decimals and a true minus; NOTHING for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return format(value, f"{'+' if sign else ''}.{digits}f").replace("-", MINUS)


def as_printed(value: Number, least: int = 0) -> str:
    """A number of the paper with no more digits than it prints, and at least so many decimals."""
    if value is None:
        return NOTHING
    decimals = len(f"{value:g}".partition(".")[2])
    return to_fixed(value, max(decimals, least))


def layer_ms(value: Number) -> str:
    """Milliseconds of a layer: 0.637."""
    return to_fixed(value, 3)


def network_digits(*values: Number) -> int:
    """Decimals of networks' milliseconds that are read beside each other: three digits of the smallest or more."""
    least = min((value for value in values if value), default=0.0)
    return 0 if least >= 500 else 1 if least >= 20 else 2


def times(value: Number) -> str:
    """A ratio: 1.32x, with a multiplication sign."""
    return NOTHING if value is None or not math.isfinite(value) else to_fixed(value, 2) + TIMES


def share(value: Number) -> str:
    """A fraction as per cent: 17.3 %."""
    return NOTHING if value is None or not math.isfinite(value) else f"{to_fixed(100 * value, 1)}{TIED}%"


def millions(value: Number) -> str:
    """4.09 M."""
    return NOTHING if value is None else f"{value / 1e6:.2f} M"


def billions(value: Number) -> str:
    """8.88 G."""
    return NOTHING if value is None else f"{value / 1e9:.2f} G"


def interval(bounds: Sequence[Number] | None, digits: int = 2) -> str:
    """0.61-0.66 with an en dash, "to" where a bound is negative; "" where there is none, or a bound is missing."""
    if bounds is None or len(bounds) != 2 or any(bound is None or not math.isfinite(bound) for bound in bounds):
        return ""
    low, high = (to_fixed(bound, digits) for bound in bounds)
    return f"{low} to {high}" if MINUS in low + high else f"{low}{DASH}{high}"


def shape(sides: Sequence[int] | None) -> str:
    """64x46x46, with multiplication signs."""
    return TIMES.join(map(str, sides)) if sides else NOTHING


def duration(secs: Number) -> str:
    """12 s, 3 min 20 s, 1 h 05 min."""
    if secs is None or not math.isfinite(secs):
        return NOTHING
    whole = round(secs)
    if whole < 60:
        return f"{secs:.1f} s" if secs < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def join_texts(*parts: str) -> str:
    """The parts that say something, behind commas."""
    return ", ".join(part for part in parts if part)
