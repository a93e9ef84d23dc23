"""What a plan says of time: a layer's or a network's milliseconds with their interval, predicted or measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fleetpose.json_fields import NotNegative, Positive, in_json
from models.plans.time_estimate import TimeEstimate


@dataclass(frozen=True)
class Cost(TimeEstimate):
    """Milliseconds of one run.

    Attributes:
        kernel: the schedule and its configuration, for people: "winograd m4 F8V2"; "" of a network.
        measured: on the device, rather than predicted.
    """

    ms: Positive
    low: Positive = field(default=0.0, metadata=in_json(null=0.0))
    high: Positive = field(default=math.inf, metadata=in_json(null=math.inf))
    kernel: str = ""
    measured: bool = False

    def __post_init__(self) -> None:
        if self.interval is None:  # one that is open at one end counts as unbounded
            object.__setattr__(self, "low", 0.0)
            object.__setattr__(self, "high", math.inf)

    @staticmethod
    def of(time: TimeEstimate, kernel: str = "", measured: bool = False) -> Cost:
        """The cost of a time."""
        return Cost(time.ms, time.low, time.high, kernel, measured)

    def __str__(self) -> str:
        interval = "{:.3g} to {:.3g}".format(*self.interval) if self.interval else "unbounded"
        return f"{self.ms:.3g} ms {'measured' if self.measured else 'predicted'} ({interval})"


def percent(probability: float) -> str:
    """A probability for people, never as a certainty that it is not: "97 %", "over 99 %"."""
    if 0.995 <= probability < 1:
        return "over 99 %"
    return "under 1 %" if 0 < probability < 0.005 else f"{100 * probability:.0f} %"


@dataclass(frozen=True)
class Outlook:
    """A planned network beside the dense one.

    Attributes:
        dense, planned: the whole network's time without and with the plan.
        predicted: what `planned` was predicted to be, where it is measured.
        rest_ms: of it, what is spent in what the plan cannot change: other layers, copies at the ends, launches.
        rule: how variants were chosen, in words.
        notes: further sentences for people, such as what a time is made of.
    """

    dense: Cost = field(metadata=in_json("dense_ms"))
    planned: Cost = field(metadata=in_json("planned_ms"))
    rest_ms: NotNegative
    rule: str
    notes: tuple[str, ...] = ()
    predicted: Cost | None = field(default=None, metadata=in_json("predicted_ms", omit=True))

    def __str__(self) -> str:
        times = self.dense.ms / self.planned.ms
        return f"{self.planned}, dense {self.dense}: {times:.2f} times as fast"
