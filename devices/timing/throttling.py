"""What a device's conditions say of whether times taken there are its usual ones: heat, clocks, other work.

Pure functions of what `devices.conditions` answers, on whatever machine; what is not there says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Conditions = Mapping[str, Any]

#: of the names of cooling devices that slow kernels down; fans, chargers, modems and displays are cooling devices, too
SLOWING = ("cpu", "gpu", "devfreq", "kgsl", "mali", "processor", "cluster", "ddr")
#: of the names of a GPU's thermal zones
GPU_ZONES = ("gpu", "g3d", "kgsl", "mali")
#: a GPU whose clock is below this share of its highest while it is timed runs slow
LOW_CLOCK = 0.8
#: other work that keeps more than this share of all cores busy disturbs
BUSY_SHARE = 1 / 3
#: core-seconds between two answers below which they say nothing of other work: the kernel counts in 1/100 s
LEAST_CORE_SECS = 0.5


class Mark(Enum):
    """Why a time is not the device's usual one; the value stands in records, under "marks" of their conditions."""

    THROTTLED = "throttled"
    SLOW_CLOCK = "slow clock"
    BUSY = "busy"


@dataclass(frozen=True)
class Heat:
    """How hot a device is, and what it does about that.

    Attributes:
        slowed: states of the cooling devices that slow processors down, above 0 each: {name: state}.
        celsius: of the GPU's hottest zone, or of the hottest of all; None where no temperature can be read.
    """

    slowed: Mapping[str, float] = field(default_factory=dict)
    celsius: float | None = None

    @classmethod
    def of(cls, conditions: Conditions) -> Heat:
        """What conditions say."""
        states = _numbers(conditions.get("throttled"))
        slowed = {name: state for name, state in states.items() if state > 0 and _is_of(name, SLOWING)}
        zones = _numbers(conditions.get("temperatures_celsius"))
        gpu = [degrees for name, degrees in zones.items() if _is_of(name, GPU_ZONES)]
        return cls(slowed, max(gpu or zones.values(), default=None))

    @property
    def level(self) -> float:
        """The states of all that is slowed down, added up."""
        return sum(self.slowed.values())

    def is_above(self, most_celsius: float | None) -> bool:
        """Whether the device is hotter than a limit; no where either is not known."""
        return most_celsius is not None and self.celsius is not None and self.celsius > most_celsius

    def is_cooler_than(self, other: Heat, by_celsius: float) -> bool:
        """Whether less is slowed down than before, or it is cooler by more than so many degrees."""
        if self.celsius is None or other.celsius is None:
            return self.level < other.level
        return self.level < other.level or self.celsius < other.celsius - by_celsius

    def __str__(self) -> str:
        names = ", ".join(f"{name.partition(':')[2] or name} at {state:g}" for name, state in self.slowed.items())
        parts = [f"at {self.celsius:.1f} °C"] if self.celsius is not None else []
        return " and ".join([*parts, f"slowed down ({names})"] if names else parts) or "of a temperature not known"


def marks_of(
    before: Conditions, after: Conditions, clock_mhz: float | None = None, most_mhz: float | None = None
) -> tuple[Mark, ...]:
    """What spoils times that were taken between two answers.

    Args:
        clock_mhz: the GPU's clock while it was timed. most_mhz: its highest. None: not known.
    """
    reasons = {
        Mark.THROTTLED: bool(Heat.of(before).slowed or Heat.of(after).slowed),
        Mark.SLOW_CLOCK: clock_mhz is not None and most_mhz is not None and clock_mhz < LOW_CLOCK * most_mhz,
        Mark.BUSY: (busy_share(before, after) or 0.0) > BUSY_SHARE,
    }
    return tuple(mark for mark, holds in reasons.items() if holds)


def busy_share(before: Conditions, after: Conditions) -> float | None:
    """The share of all cores that worked between two answers, but for the one that launches kernels; None: not known.

    Of a device whose kernels run on these very cores it says nothing of other work.
    """
    spent = []
    for name in ("cpu_busy_secs", "cpu_idle_secs"):
        begin, end = number_of(before, name), number_of(after, name)
        if begin is None or end is None:
            return None
        spent.append(end - begin)
    total, cores = sum(spent), number_of(after, "cpus") or 1.0
    return None if total < LEAST_CORE_SECS else max(0.0, spent[0] / total - 1 / cores)


def number_of(conditions: Conditions, name: str) -> float | None:
    """A finite number among conditions; None where there is none of that name."""
    return _numbers({name: conditions.get(name)}).get(name)


def _numbers(values: Any) -> dict[str, float]:
    """The finite numbers of what another machine says is an object of numbers."""
    if not isinstance(values, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _is_of(name: str, words: tuple[str, ...]) -> bool:
    """Whether the name of a zone or cooling device, "thermal_zone0:gpuss-0", has one of some words."""
    kind = name.partition(":")[2] or name
    return any(word in kind.lower() for word in words)
