"""A time that is known up to an interval, predicted or measured, and the speed-up of one such time over another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

Timed = TypeVar("Timed", bound="TimeEstimate")


class Speedup(NamedTuple):
    """Dense time / this time, and the ends of its interval: above 1 is faster than dense."""

    times: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high); None where the interval is unbounded."""
        return bounded_interval(self.low, self.high)

    @property
    def shares(self) -> tuple[float, float, float]:
        """The same as shares of the dense time, for people: the most likely one, the least, the most."""
        return 1 / self.times, 1 / self.high, 1 / self.low if self.low > 0 else math.inf


@dataclass(frozen=True)
class TimeEstimate:
    """Milliseconds with their interval.

    Attributes:
        ms: the most likely value.
        low: lower end of the interval; 0 where it is unbounded.
        high: upper end of the interval; infinite where it is unbounded.
    """

    ms: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high); None where the interval is unbounded."""
        return bounded_interval(self.low, self.high)

    @property
    def half_width(self) -> float:
        """Half the interval's width in log time; infinite where it is unbounded."""
        return log_ratio(self.high, self.low) / 2

    def scaled(self: Timed, factor: float) -> Timed:
        """The time and its interval multiplied by a factor; all else stays."""
        return replace(self, ms=self.ms * factor, low=self.low * factor, high=self.high * factor)

    def with_time(self: Timed, time: TimeEstimate) -> Timed:
        """The same with the time and the interval of `time`."""
        return replace(self, ms=time.ms, low=time.low, high=time.high)

    def speedup_over(self, dense: TimeEstimate) -> Speedup:
        """How many times as fast as `dense` this is.

        The relative errors of the two are taken as independent, so that their half-widths in log time add in
        quadrature. That overstates the interval where a predictor errs alike on both.
        """
        times = dense.ms / self.ms
        up = math.hypot(log_ratio(dense.high, dense.ms), log_ratio(self.ms, self.low))
        down = math.hypot(log_ratio(dense.ms, dense.low), log_ratio(self.high, self.ms))
        return Speedup(times, times * math.exp(-down), times * exp_or_inf(up))


def bounded_interval(low: float, high: float) -> tuple[float, float] | None:
    """(low, high); None where the interval is unbounded."""
    return (low, high) if low > 0 and math.isfinite(high) else None


def log_ratio(more: float, less: float) -> float:
    """log(more / less), infinite where an end of an interval is unbounded."""
    return math.log(more / less) if less > 0 and math.isfinite(more) else math.inf


def exp_or_inf(exponent: float) -> float:
    """exp, infinite where it would overflow."""
    return math.exp(exponent) if exponent < 700 else math.inf
