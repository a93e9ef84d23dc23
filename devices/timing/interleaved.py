"""Which of several is faster, when clocks wander: A B, B A, A B, ... and the ratio inside each round.

Two timings taken minutes apart differ by the machine's mood; two taken in the same round share it. The ratio's median
over the rounds, with a bootstrap interval, is what a decision between two kernels should rest on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.session import Session
from devices.timers import TimedCall, TimeSample
from devices.timing.measure import Probe
from devices.timing.measurement import Measurement, median_error, merge_samples
from fleetpose.errors import UsageError

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the reference: seconds of the reference / seconds of this one, round by round.

    Attributes:
        median: over the rounds; above 1 this one is faster.
        low, high: bootstrap interval of that median, 95 %.
        rounds: the ratio of each round.
    """

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]


@dataclass(frozen=True)
class Interleaved:
    """The result of `measure_interleaved`.

    Attributes:
        reference: the name the others are compared with (the first).
        clock: "event" or "wall", which the ratios are of.
        measurements: one per name, failed ones among them.
        ratios: per name other than the reference; a name that failed has none, nor has any where the reference failed.
    """

    reference: str
    clock: str
    measurements: Mapping[str, Measurement]
    ratios: Mapping[str, Ratio]


def measure_interleaved(  # noqa: PLR0913  options with defaults
    session: Session,
    calls: Mapping[str, TimedCall],
    rounds: int = 15,
    *,
    warmup: int = 2,
    number: int | None = None,
    min_repeat_secs: float = 0.005,
    timeout_secs: float = 60.0,
    clock: str | None = None,
    rest_secs: float = 0.0,
    seed: int = 0,
    most_rounds: int = 0,
    precision: float = 0.02,
) -> Interleaved:
    """Time several calls in turn, one sample of each per round, the order reversed every other round.

    Args:
        session: where they run.
        calls: by name; the first is the reference.
        rounds: samples of each.
        warmup, number, min_repeat_secs: as for `measure`, for each call by itself.
        timeout_secs: for each step (preparing one call, one sample).
        clock: which clock to compare on; None: events where every call has them, else wall.
        rest_secs: to wait before each sample, until threads that the one before left spinning sleep.
        seed: of the bootstrap.
        most_rounds: go on beyond `rounds` until every ratio is known to `precision` or there are so many.
        precision: relative standard error of a median ratio that will do. What slows down a whole round, such as other
            work on the machine, makes times scatter and leaves ratios as they are.

    Raises:
        UsageError: fewer than two calls, no rounds, or a `clock` that one of them lacks.
    """
    if len(calls) < 2 or rounds < 1:
        raise UsageError(f"an interleaved measurement needs two calls and a round, not {len(calls)} and {rounds}")
    probes = {name: Probe(session, call, warmup, timeout_secs) for name, call in calls.items()}
    for probe in probes.values():
        probe.prepare(number, min_repeat_secs)
    taken: dict[str, list[TimeSample | None]] = {name: [] for name in calls}
    for turn in range(max(rounds, most_rounds)):
        if turn and turn % rounds == 0 and _precise(list(taken.values()), precision):
            break
        for name in list(calls) if turn % 2 == 0 else reversed(list(calls)):
            time.sleep(rest_secs)
            taken[name].append(probes[name].sample())
    measurements = {name: probe.result() for name, probe in probes.items()}
    reference = next(iter(calls))
    chosen = _clock(clock, measurements)
    ratios = {}
    for name in calls:
        if name != reference and measurements[name].ok and measurements[reference].ok:
            ratios[name] = _ratio(taken[reference], taken[name], chosen, seed)
    return Interleaved(reference, chosen, measurements, ratios)


def measure_reloaded(
    session: Session, load: Callable[[], Mapping[str, TimedCall]], loads: int, rounds: int, **options: Any
) -> Interleaved:
    """`measure_interleaved` of what is loaded anew `loads` times, as one result.

    Where a network's memory comes to lie is chance, and some places are slower than others: rounds of one loading agree
    with each other better than with the next loading's. The interval of a ratio is therefore a bootstrap of two stages,
    loadings and then the rounds of each (Davison & Hinkley 1997, section 3.8), so that another measurement, or another
    process, lies within it.

    Args:
        load: loads all calls, anew each time; by the same names in the same order.
        loads: at most; as many as there are `rounds` for.
        rounds: samples of each call, of all loadings together.
        options: as for `measure_interleaved`, `most_rounds` of all loadings together.

    Returns:
        The samples and rounds of all loadings; where a call fails, that loading's result alone.

    Raises:
        UsageError: as `measure_interleaved`.
    """
    loads = max(1, min(loads, rounds))
    most_rounds = options.pop("most_rounds", 0)
    parts = []
    for number in range(loads):
        share = [total // loads + (number < total % loads) for total in (rounds, most_rounds)]
        parts.append(measure_interleaved(session, load(), share[0], most_rounds=share[1], **options))
        if not all(measurement.ok for measurement in parts[-1].measurements.values()):
            return parts[-1]
    measurements = {name: merge_samples([part.measurements[name] for part in parts]) for name in parts[0].measurements}
    seed = options.get("seed", 0)
    ratios = {name: pool_ratios([part.ratios[name].rounds for part in parts], seed) for name in parts[0].ratios}
    return Interleaved(parts[0].reference, parts[0].clock, measurements, ratios)


def pool_ratios(parts: Sequence[Sequence[float]], seed: int) -> Ratio:
    """One ratio of the rounds of several loadings: its interval is a bootstrap of loadings, and of rounds in each."""
    rng = np.random.default_rng(seed)
    values = [np.array(part) for part in parts]
    drawn = np.sort(rng.integers(len(parts), size=(RESAMPLES, len(parts))), axis=1)
    medians = [
        np.median(np.hstack([rng.choice(values[part], (count, len(values[part]))) for part in loadings]), axis=1)
        for loadings, count in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True)
    ]
    low, high = _percentiles(np.concatenate(medians))
    rounds = np.concatenate(values)
    return Ratio(float(np.median(rounds)), low, high, tuple(map(float, rounds)))


def _precise(taken: Sequence[Sequence[TimeSample | None]], precision: float) -> bool:
    """Whether the median ratio of the first to each other is known to `precision`; a call that failed has none."""
    reference, *others = taken
    ratios = [
        [
            a.wall_secs / b.wall_secs
            for a, b in zip(reference, other, strict=True)
            if a and b and a.wall_secs and b.wall_secs
        ]
        for other in others
    ]
    return all(median_error(rounds) <= precision for rounds in ratios if rounds)


def _clock(wanted: str | None, measurements: Mapping[str, Measurement]) -> str:
    """The clock every successful measurement has."""
    has_events = all(measurement.event_secs for measurement in measurements.values() if measurement.ok)
    if wanted not in (None, "event", "wall") or (wanted == "event" and not has_events):
        raise UsageError(f"clock {wanted!r} cannot be compared on; known: event (where all have it), wall")
    return wanted or ("event" if has_events else "wall")


def _ratio(reference: Sequence[TimeSample | None], other: Sequence[TimeSample | None], clock: str, seed: int) -> Ratio:
    pairs = [(getattr(a, f"{clock}_secs"), getattr(b, f"{clock}_secs")) for a, b in zip(reference, other, strict=True)]
    rounds = np.array([a / b for a, b in pairs])
    low, high = bootstrap_median(rounds, seed)
    return Ratio(float(np.median(rounds)), low, high, tuple(map(float, rounds)))


def bootstrap_median(samples: Sequence[float] | np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the median (Efron 1979), from 2000 resamples."""
    values = np.asarray(samples, dtype=np.float64)
    drawn = np.random.default_rng(seed).choice(values, size=(RESAMPLES, len(values)))
    return _percentiles(np.median(drawn, axis=1))


def _percentiles(medians: np.ndarray) -> tuple[float, float]:
    """The interval of CONFIDENCE of resampled medians."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(low), float(high)
