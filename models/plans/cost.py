"""What a plan says of time: a layer's or a network's milliseconds with their interval, predicted or measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetpose.errors import UsageError, unknown_name
from models.plans.time_estimate import TimeEstimate


@dataclass(frozen=True)
class Cost(TimeEstimate):
    """Milliseconds of one run.

    Attributes:
        kernel: the schedule and its configuration, for people: "winograd m4 F8V2"; "" of a network.
        measured: on the device, rather than predicted.
    """

    low: float = 0.0
    high: float = math.inf
    kernel: str = ""
    measured: bool = False

    @staticmethod
    def of(time: TimeEstimate, kernel: str = "", measured: bool = False) -> Cost:
        """The cost of a time; an interval that is open at one end counts as unbounded."""
        return Cost(time.ms, *(time.interval or (0.0, math.inf)), kernel, measured)

    def __str__(self) -> str:
        interval = "{:.3g} to {:.3g}".format(*self.interval) if self.interval else "unbounded"
        return f"{self.ms:.3g} ms {'measured' if self.measured else 'predicted'} ({interval})"

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval or (None, None)
        return {"ms": self.ms, "low": low, "high": high, "kernel": self.kernel, "measured": self.measured}

    @staticmethod
    def from_json(value: Any, where: str) -> Cost:
        """The inverse of `to_json`. Raises UsageError, saying `where`, for what is no cost."""
        values = _entries(value, ("ms", "low", "high", "kernel", "measured"), where)
        for name in ("ms", "low", "high"):
            if name == "ms" or values.get(name) is not None:
                number(values.get(name), f"{where}: {name}")
        if not isinstance(values.get("kernel", ""), str) or not isinstance(values.get("measured", False), bool):
            raise UsageError(f"{where}: kernel is a text, measured is true or false")
        return Cost(**{name: entry for name, entry in values.items() if entry is not None})


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

    dense: Cost
    planned: Cost
    rest_ms: float
    rule: str
    notes: tuple[str, ...] = ()
    predicted: Cost | None = None

    def __str__(self) -> str:
        times = self.dense.ms / self.planned.ms
        return f"{self.planned}, dense {self.dense}: {times:.2f} times as fast"

    def to_json(self) -> dict[str, Any]:
        return {
            "dense_ms": self.dense.to_json(),
            "planned_ms": self.planned.to_json(),
            "rest_ms": self.rest_ms,
            "rule": self.rule,
            "notes": list(self.notes),
            **({"predicted_ms": self.predicted.to_json()} if self.predicted else {}),
        }

    @staticmethod
    def from_json(value: Any) -> Outlook:
        """The inverse of `to_json`. Raises UsageError for what is none."""
        where = "the plan's network"
        values = _entries(value, ("dense_ms", "planned_ms", "predicted_ms", "rest_ms", "rule", "notes"), where)
        notes, predicted = values.get("notes", []), values.get("predicted_ms")
        if not isinstance(values.get("rule"), str) or not isinstance(notes, list) or not all(map(_is_text, notes)):
            raise UsageError(f"{where}: its rule is a text, its notes are a list of texts")
        return Outlook(
            Cost.from_json(values.get("dense_ms"), f"{where}: dense_ms"),
            Cost.from_json(values.get("planned_ms"), f"{where}: planned_ms"),
            number(values.get("rest_ms"), f"{where}: rest_ms", zero=True),
            values["rule"],
            tuple(notes),
            Cost.from_json(predicted, f"{where}: predicted_ms") if predicted is not None else None,
        )


def number(value: Any, where: str, zero: bool = False) -> float:
    """A finite number above 0, or of at least 0. Raises UsageError, saying `where`, for anything else."""
    kind = isinstance(value, int | float) and not isinstance(value, bool)
    if not kind or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise UsageError(f"{where} is {value!r}, not a number {'of at least' if zero else 'above'} 0")
    return float(value)


def _entries(value: Any, known: tuple[str, ...], where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is {value!r}, not an object")
    for name in value:
        if name not in known:
            raise unknown_name(f"entry of {where}", name, known)
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
