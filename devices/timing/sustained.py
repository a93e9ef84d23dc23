"""What a network takes once the device is warm: it runs for minutes, and the first of them is told from the last.

A phone that was idle runs at clocks that it cannot keep. Networks are run one after the other without a pause for the
time that was asked for; medians of the first and of the last minute (of less than ten: of a tenth) say what a user of
the first minute sees, and one of the tenth. The device's conditions are asked all along.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.session import Session
from devices.timers import TimedCall, Timer
from devices.timing.cooling import Cooler, CoolingSettings
from devices.timing.interleaved import CONFIDENCE, RESAMPLES
from devices.timing.measure import conditions_of
from devices.timing.throttling import Heat
from fleetpose.errors import FleetposeError
from fleetpose.progress import Report

#: seconds of the first and the last window, and the share of the whole that they are at most
WINDOW_SECS, WINDOW_SHARE = 60.0, 0.1
#: seconds between questions after the device's conditions
ASK_SECS = 5.0
#: a network that takes so much longer at the end, and certainly longer, is said to be slower then
SLOWER = 1.02
#: rounds of a window below which it says nothing for certain
LEAST_ROUNDS = 10
#: parts of a window that are drawn as a whole: what slows a device lasts for seconds, and slows many rounds in a row
PARTS = 12
#: of the two networks that are compared, and of one by itself
DENSE, SPARSE, NETWORK = "dense", "sparse", "network"


@dataclass(frozen=True)
class SustainedRound:
    """One round: seconds since the start, and seconds of an inference of each network by name."""

    at_secs: float
    secs: Mapping[str, float]


def sustain(
    session: Session,
    calls: Mapping[str, TimedCall],
    minutes: float,
    report: Report,
    cooling: CoolingSettings | None = None,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Run networks in turn for so many minutes, once each at least, from a device that is cool.

    Args:
        calls: DENSE and SPARSE, or one by the name NETWORK.
        report: told how many of the minutes have gone by.
        cooling: how long the device is waited for before (default: as CoolingSettings has it).
        now: a clock, in seconds.

    Returns:
        `windows_of` of the rounds, "minutes", "throttled" (whether the device ever slowed itself down) and its
        conditions: "conditions" at the start, "conditions_first" at the end of the first window, "conditions_last".

    Raises:
        FleetposeError: an inference gives no time. DeviceUnreachable: the device is gone.
    """
    Cooler(session, cooling or CoolingSettings(), report).wait()
    timers = {name: session.timer(call) for name, call in calls.items()}
    for timer in timers.values():
        timer.warm(1)
    whole_secs = 60 * minutes
    window_secs = min(WINDOW_SECS, WINDOW_SHARE * whole_secs)
    started, asked = now(), 0.0
    rounds: list[SustainedRound] = []
    conditions, first = [conditions_of(session)], None
    while not rounds or now() - started < whole_secs:
        at = now() - started
        with session.guard("running on"):
            rounds.append(SustainedRound(at, {name: _once(timer, name) for name, timer in timers.items()}))
        report(f"sustained: {at / 60:.1f} of {minutes:g} minutes", round(at), round(whole_secs))
        ends_window = first is None and at >= window_secs
        if ends_window or at - asked >= ASK_SECS:
            asked = at
            conditions.append(conditions_of(session))
            first = conditions[-1] if ends_window else first
    conditions.append(conditions_of(session))
    throttled = any(Heat.of(answer).slowed for answer in conditions)
    return {"minutes": minutes, **windows_of(rounds), "throttled": throttled, "conditions": conditions[0],
            "conditions_first": first or conditions[-1], "conditions_last": conditions[-1]}  # fmt: skip


def _once(timer: Timer, name: str) -> float:
    (sample,) = timer.samples(1, 1)
    secs = sample.wall_secs or sample.event_secs
    if not secs:
        raise FleetposeError(f"the sustained run: {name} gave no time")
    return float(secs)


def windows_of(rounds: Sequence[SustainedRound]) -> dict[str, Any]:
    """Medians of the first and of the last window, in milliseconds.

    Returns:
        "first", "last": for each network NAME "NAME_ms" and its quartiles "NAME_iqr_ms", "rounds", "until_secs" or
        "from_secs", and of DENSE and SPARSE "speedup", dense / sparse; "slower": each network's last median over its
        first; "slower_interval": the interval of that, None of too few rounds.
    """
    begin, end = rounds[0].at_secs, rounds[-1].at_secs
    window = min(WINDOW_SECS, WINDOW_SHARE * (end - begin))
    first = _by_name([turn for turn in rounds if turn.at_secs <= begin + window])
    last = _by_name([turn for turn in rounds if turn.at_secs >= end - window])
    return {
        "first": {**_medians(first), "until_secs": window},
        "last": {**_medians(last), "from_secs": end - window},
        "slower": {name: float(np.median(last[name]) / np.median(first[name])) for name in first},
        "slower_interval": {name: _interval(first[name], last[name]) for name in first},
        "rounds": len(rounds),
    }


def _by_name(rounds: Sequence[SustainedRound]) -> dict[str, np.ndarray]:
    """Milliseconds of each network, round by round."""
    return {name: 1e3 * np.array([turn.secs[name] for turn in rounds]) for name in rounds[0].secs}


def _medians(times_ms: Mapping[str, np.ndarray]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, ms in times_ms.items():
        low, middle, high = np.quantile(ms, (0.25, 0.5, 0.75))
        values |= {"rounds": len(ms), f"{name}_ms": float(middle), f"{name}_iqr_ms": [float(low), float(high)]}
    if DENSE in times_ms and SPARSE in times_ms:
        values["speedup"] = float(np.median(times_ms[DENSE] / times_ms[SPARSE]))
    return values


def _interval(first: np.ndarray, last: np.ndarray) -> list[float] | None:
    """The 95 % interval of the last window's median over the first's, by a bootstrap of parts of each.

    Parts of consecutive rounds are drawn as a whole (Kunsch 1989, with blocks that do not overlap).
    """
    if min(len(first), len(last)) < LEAST_ROUNDS:
        return None
    rng = np.random.default_rng(0)
    ratios = _drawn_medians(last, rng) / _drawn_medians(first, rng)
    tail = (1 - CONFIDENCE) / 2
    return [float(bound) for bound in np.quantile(ratios, [tail, 1 - tail])]


def _drawn_medians(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    parts = np.array_split(values, min(PARTS, len(values)))
    drawn = rng.integers(len(parts), size=(RESAMPLES, len(parts)))
    return np.array([np.median(np.concatenate([parts[number] for number in row])) for row in drawn])


def change_text(facts: Mapping[str, Any], name: str) -> str:
    """How a network's last minute compares with its first, in words.

    It is slower where the interval of the ratio excludes 1 and the ratio itself is at least SLOWER.
    """
    ratio, interval = facts["slower"][name], facts.get("slower_interval", {}).get(name)
    if interval is None:
        return f"{ratio:.2f} times as long as at first, of too few runs to tell"
    low, high = interval
    spread = f"({low:.3f} to {high:.3f} times)"
    if low > 1 and ratio >= SLOWER:
        return f"{ratio:.2f} times as long as at first {spread}"
    return f"no longer than at first {spread}"


def sustained_text(facts: Mapping[str, Any]) -> str:
    """A sustained run in words."""
    first, last = facts["first"], facts["last"]
    name = SPARSE if SPARSE in facts["slower"] else NETWORK
    now, then = (f"{window[f'{name}_ms']:.4g}" for window in (last, first))
    text = f"after {facts['minutes']:g} minutes without a pause {name} takes {now} ms ({then} at first)"
    if "speedup" in last:
        text += f", {last['speedup']:.2f} times as fast as dense ({first['speedup']:.2f})"
    held = "; the device slows itself down" if facts["throttled"] else ""
    return f"{text}; {change_text(facts, name)}{_heat_text(facts)}{held}"


def _heat_text(facts: Mapping[str, Any]) -> str:
    """How hot the device became; "" where it does not say."""
    names = {"conditions": "before", "conditions_first": "at first", "conditions_last": "at last"}
    heats = {when: Heat.of(facts.get(name, {})).celsius for name, when in names.items()}
    said = [f"{celsius:.1f} °C {when}" for when, celsius in heats.items() if celsius is not None]
    return f"; {', '.join(said)}" if said else ""
