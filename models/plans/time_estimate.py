"""A time that is known up to an interval, predicted or measured; of two such times the speed-up of one over the other,
and the probability that it is the faster one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from models.plans.log_spread import NINETY, LogSpread

#: probability of being faster that a variant needs to be had; docs/latency-model.md has what others lose
CONFIDENCE = 0.6

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

    def speedup_over(self, dense: TimeEstimate, spread: LogSpread | None = None) -> Speedup:
        """How many times as fast as `dense` this is.

        Args:
            spread: what the logarithm of their ratio may be off by. None: the relative errors of the two are taken as
                independent, so that their half-widths in log time add in quadrature.
        """
        times = dense.ms / self.ms
        up, down = self._half_widths(dense) if spread is None else (spread.half_width, spread.half_width)
        return Speedup(times, times * math.exp(-down), times * exp_or_inf(up))

    def probability_faster(self, other: TimeEstimate, margin: float = 0.0, spread: LogSpread | None = None) -> float:
        """Probability that this takes less than `other`, by `margin` of the other's time or more.

        Args:
            spread: as in `speedup_over`; of independent errors the half towards the margin is taken as normal, so that
                0.95 is where the end of the interval is.
        """
        distance = log_ratio(other.ms, self.ms) + math.log1p(-margin)
        return (spread or self.spread_over(other, distance)).probability_below(distance)

    def spread_over(self, other: TimeEstimate, distance: float) -> LogSpread:
        """What the logarithm of (other / this) may be off by where both intervals' errors are independent.

        Args:
            distance: how far that logarithm is above what it is compared with; its sign says which half counts.
        """
        up, down = self._half_widths(other)
        return LogSpread((down if distance > 0 else up) / NINETY)

    def _half_widths(self, other: TimeEstimate) -> tuple[float, float]:
        """How far the logarithm of (other / this) reaches up and down from its middle."""
        up = math.hypot(log_ratio(other.high, other.ms), log_ratio(self.ms, self.low))
        down = math.hypot(log_ratio(other.ms, other.low), log_ratio(self.high, self.ms))
        return up, down


def bounded_interval(low: float, high: float) -> tuple[float, float] | None:
    """(low, high); None where the interval is unbounded."""
    return (low, high) if low > 0 and math.isfinite(high) else None


def log_ratio(more: float, less: float) -> float:
    """log(more / less), infinite where an end of an interval is unbounded."""
    return math.log(more / less) if less > 0 and math.isfinite(more) else math.inf


def exp_or_inf(exponent: float) -> float:
    """exp, infinite where it would overflow."""
    return math.exp(exponent) if exponent < 700 else math.inf
