"""What a network takes once the device is warm: both networks in turn for minutes, the first of them and the last.

A phone that was idle runs at clocks that it cannot keep. The dense and the planned network are run one after the other
without a pause for the time that was asked for; medians of the first and of the last minute (of less than ten: of a
tenth) say what a user of the first minute sees, and one of the tenth. The device's conditions are asked all along.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.session import Session
from devices.timers import TimedCall
from devices.timing.measure import conditions_of
from fleetpose.errors import FleetposeError
from fleetpose.progress import Report

#: seconds of the first and the last window, and the share of the whole that they are at most
WINDOW_SECS, WINDOW_SHARE = 60.0, 0.1
#: seconds between questions after the device's conditions
ASK_SECS = 5.0
#: a network that takes so much longer at the end is said to be slower then
SLOWER = 1.05


@dataclass(frozen=True)
class SustainedRound:
    """One round: seconds since the start, and seconds of an inference of each network."""

    at_secs: float
    dense_secs: float
    planned_secs: float


def sustain(
    session: Session,
    calls: Mapping[str, TimedCall],
    minutes: float,
    report: Report,
) -> dict[str, Any]:
    """Run "dense" and "sparse" in turn for so many minutes, once each at least.

    Returns:
        `windows_of` of the rounds, with "conditions", the device's at the start, and "conditions_last", at the end.

    Raises:
        FleetposeError: an inference gives no time.
    """
    timers = {name: session.timer(call) for name, call in calls.items()}
    for timer in timers.values():
        timer.warm(1)
    started, asked = time.monotonic(), 0.0
    rounds: list[SustainedRound] = []
    conditions = [conditions_of(session)]
    while not rounds or time.monotonic() - started < 60 * minutes:
        at = time.monotonic() - started
        secs = {name: _once(timer, name) for name, timer in timers.items()}
        rounds.append(SustainedRound(at, secs["dense"], secs["sparse"]))
        report(f"sustained: {at / 60:.1f} of {minutes:g} minutes", round(at), round(60 * minutes))
        if at - asked >= ASK_SECS:
            asked = at
            conditions.append(conditions_of(session))
    return {"minutes": minutes, **windows_of(rounds), "conditions": conditions[0],
            "conditions_last": conditions_of(session), "throttled": _throttled(conditions)}  # fmt: skip


def _once(timer: Any, name: str) -> float:
    (sample,) = timer.samples(1, 1)
    secs = sample.wall_secs or sample.event_secs
    if not secs:
        raise FleetposeError(f"the sustained run: {name} gave no time")
    return float(secs)


def windows_of(rounds: Sequence[SustainedRound]) -> dict[str, Any]:
    """Medians of the first and of the last window, in milliseconds, and dense / planned in each.

    Returns:
        "first", "last": "dense_ms", "sparse_ms", their quartiles "dense_iqr_ms", "sparse_iqr_ms", "speedup", "rounds",
        "until_secs" or "from_secs"; "slower": each network's last median over its first.
    """
    begin, end = rounds[0].at_secs, rounds[-1].at_secs
    window = min(WINDOW_SECS, WINDOW_SHARE * (end - begin))
    first = [turn for turn in rounds if turn.at_secs <= begin + window]
    last = [turn for turn in rounds if turn.at_secs >= end - window]
    windows = {
        "first": {**_medians(first), "until_secs": window},
        "last": {**_medians(last), "from_secs": end - window},
    }
    slower = {name: windows["last"][f"{name}_ms"] / windows["first"][f"{name}_ms"] for name in ("dense", "sparse")}
    return {**windows, "slower": slower, "rounds": len(rounds)}


def _medians(rounds: Sequence[SustainedRound]) -> dict[str, Any]:
    dense, planned = (
        1e3 * np.array([getattr(turn, name) for turn in rounds]) for name in ("dense_secs", "planned_secs")
    )
    values: dict[str, Any] = {"rounds": len(rounds), "speedup": float(np.median(dense / planned))}
    for name, ms in (("dense", dense), ("sparse", planned)):
        low, middle, high = np.quantile(ms, (0.25, 0.5, 0.75))
        values |= {f"{name}_ms": float(middle), f"{name}_iqr_ms": [float(low), float(high)]}
    return values


def _throttled(conditions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the device said at any time that it holds itself back."""
    return any(asked.get("throttled") for asked in conditions)


def sustained_text(facts: Mapping[str, Any]) -> str:
    """A sustained run in words."""
    first, last, minutes = facts["first"], facts["last"], facts["minutes"]
    slower = max(facts["slower"].values())
    change = f"{slower:.2f} times as long as at first" if slower >= SLOWER else "no longer than at first"
    held = "; the device holds itself back" if facts["throttled"] else ""
    now, then = (f"{window['sparse_ms']:.4g}" for window in (last, first))
    times = f"{last['speedup']:.2f} times as fast as dense ({first['speedup']:.2f})"
    return f"after {minutes:g} minutes without a pause sparse takes {now} ms ({then} at first), {times}; {change}{held}"
