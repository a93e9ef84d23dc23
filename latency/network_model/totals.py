"""Totals: a network's milliseconds from those of its kernels, with an interval; numbers alone.

The interval of a total. Where the calibration holds errors for networks that were held out whole, these are what a
total is off by, and the interval is theirs: Student's t at the layers' coverage times their root mean square. Where
there are none it is put together from the kernels' own: equal kernels err as one, different ones half together
(`CORRELATION`), since a predictor that errs on one errs alike on its kind but not on all. To that comes, in
quadrature, what a calibration may be off by on a network it has not seen (`CALIBRATION_ERROR`), if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from latency.cost_model.calibration import Calibration, terms_of
from models.plans.time_estimate import TimeEstimate, exp_or_inf

#: correlation taken between the log errors of any two different kernels
CORRELATION = 0.5
#: half-width, in log time, of what one or two measured networks leave open about a third
CALIBRATION_ERROR = 0.05
#: two-sided coverage of the kernels' intervals and of the total's
LEVEL = 0.9


@dataclass(frozen=True)
class Part(TimeEstimate):
    """One layer's share of a network's time: that of its kernels together.

    Attributes:
        launches: kernels it launches.
        written: elements it writes.
        key: equal where the same kernels run the same workload, which then err alike.
    """

    launches: int = 1
    written: float = 0.0
    key: Hashable = None


@dataclass(frozen=True)
class Total(TimeEstimate):
    """A network's milliseconds of one inference with their interval.

    Attributes:
        sum_ms: of its kernels alone.
        launches: kernels launched.
        how: in words, where `ms` comes from and what the interval is made of.
    """

    sum_ms: float
    launches: int
    how: str


def total(parts: Sequence[Part], calibration: Calibration | None = None) -> Total:
    """The time of a network that consists of `parts`, each as often as it runs."""
    times = np.array([part.ms for part in parts])
    launches = sum(part.launches for part in parts)
    ms = float(times.sum())
    how = "the plain sum of the kernels, not calibrated on measured networks"
    if calibration is not None:
        terms = terms_of(times, launches, sum(part.written for part in parts))
        ms = float(calibration.predict(terms[None])[0])
        how = f"{calibration}"
    half, why = _half_width(parts, calibration)
    return Total(ms, ms * math.exp(-half), ms * exp_or_inf(half), float(times.sum()), launches, f"{how}; {why}")


def contribution(part: Part, calibration: Calibration | None) -> Part:
    """A part as it counts in a calibrated total: what the total grows by because of it.

    The constant of a calibration is nobody's, so that contributions add up to the total less that.
    """
    if calibration is None:
        return part
    fixed = terms_of(np.zeros(0), 0, 0.0)

    def counted(ms: float) -> float:
        if not math.isfinite(ms):
            return ms
        terms = terms_of(np.array([ms]), part.launches, part.written)
        return float(calibration.predict((terms - fixed)[None])[0])

    return replace(part, ms=counted(part.ms), low=counted(part.low), high=counted(part.high))


def _half_width(parts: Sequence[Part], calibration: Calibration | None) -> tuple[float, str]:
    """Half the interval's width in log time, and in words what it is made of."""
    errors = list(calibration.errors.values()) if calibration else []
    if len(errors) > 1:
        root = math.sqrt(sum(error**2 for error in errors) / len(errors))
        reach = float(stats.t.ppf((1 + LEVEL) / 2, len(errors)))
        return reach * root, f"interval from its errors on {len(errors)} networks held out"
    layers = correlated_half_width(parts)
    if calibration is None:
        return layers, "interval from the layers' own, half correlated"
    return math.hypot(layers, CALIBRATION_ERROR), "interval from the layers' own, half correlated, and the calibration"


def correlated_half_width(parts: Sequence[Part]) -> float:
    """Half-width, in log time, of a sum: sqrt((1 - c) sum d^2 + c (sum d)^2) / sum ms over different kernels.

    d is milliseconds times half-width of a kernel, added up over the layers that run it; c is CORRELATION.
    """
    widths: dict[Hashable, float] = {}
    for number, part in enumerate(parts):
        if part.interval is None:
            return math.inf
        key = ("alone", number) if part.key is None else part.key
        widths[key] = widths.get(key, 0.0) + part.ms * part.half_width
    together = sum(widths.values())
    squares = sum(width**2 for width in widths.values())
    total_ms = sum(part.ms for part in parts)
    return math.sqrt((1 - CORRELATION) * squares + CORRELATION * together**2) / total_ms if total_ms else 0.0
