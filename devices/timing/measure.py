"""Timing what runs on a device. A failure is a Measurement with its reason, never an exception and never a number.

A wait has an end: when `timeout_secs` are over, the session's connection is cut, which makes the server kill the hung
kernel's process. `Session.reconnect` then gives a fresh one; what was loaded in the old one is void.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from devices.rpc.connection import run_within
from devices.session import Session
from devices.timers import TimedCall, Timer, TimeSample
from devices.timing.measurement import Measurement, versions
from fleetpose.codec import encode
from fleetpose.errors import DeviceUnreachable, FleetposeError, reason

Value = TypeVar("Value")

log = logging.getLogger("devices.timing.measure")

MAX_NUMBER = 10_000
#: trials that settle how often a call runs for a sample, and the seconds after which there are no more: what takes so
#: long has not done so because another process had the core
TRIALS = 3
HELD_UP_SECS = 0.05
CONDITIONS_SECS = 5.0
GRACE_SECS = 5.0  # for this process to act before the connection's own limit does


def measure(  # noqa: PLR0913  options with defaults
    session: Session,
    function: Any,
    args: Sequence[Any] = (),
    *,
    entry: str = "main",
    warmup: int = 2,
    repeats: int = 10,
    number: int | None = None,
    min_repeat_secs: float = 0.005,
    timeout_secs: float = 60.0,
) -> Measurement:
    """Time one call.

    Args:
        session: where it runs.
        function: a remote module or virtual machine, a Python callable (wall clock only), or a NullKernel.
        args: its arguments.
        entry: the function of the module.
        warmup: untimed runs first.
        repeats: samples to take.
        number: runs per sample; None: as many as make a sample last `min_repeat_secs`.
        min_repeat_secs: see `number`.
        timeout_secs: for all of it.

    Returns:
        The Measurement; where it failed, one with `failure` and `error` set and no times.
    """
    call = TimedCall(function, tuple(args), entry)
    probe = Probe(session, call, warmup, timeout_secs)
    return probe.measure(repeats, number, min_repeat_secs)


class Probe:
    """One TimedCall on its way to a Measurement: prepared once, each step bounded, the first failure kept."""

    def __init__(self, session: Session, call: TimedCall, warmup: int, timeout_secs: float) -> None:
        self.session = session
        self.call = call
        self.warmup = warmup
        self.timeout_secs = timeout_secs
        self.number = 0
        self.taken: list[TimeSample] = []
        self.failure: str | None = None
        self.error: str | None = None
        self.before = conditions_of(session)
        self.timer: Timer | None = None

    def measure(self, repeats: int, number: int | None, min_repeat_secs: float) -> Measurement:
        """Prepare, take all samples, give the result: one bounded step."""

        def work() -> list[TimeSample]:
            self._prepare(number, min_repeat_secs)
            assert self.timer is not None
            return self.timer.samples(self.number, repeats)

        self._keep(self._step(work))
        return self.result()

    def prepare(self, number: int | None, min_repeat_secs: float) -> None:
        """Warm up and settle the number of runs per sample."""
        self._step(lambda: self._prepare(number, min_repeat_secs))

    def sample(self) -> TimeSample | None:
        """Take one more sample; None once anything has failed."""
        chosen = self.timer
        if chosen is None:
            return None
        before = len(self.taken)
        self._keep(self._step(lambda: chosen.samples(self.number, 1)))
        return self.taken[-1] if len(self.taken) > before and self.error is None else None

    def result(self) -> Measurement:
        """What has been found, with the conditions now."""
        failed = self.error is not None
        events = [sample.event_secs for sample in self.taken if sample.event_secs is not None]
        return Measurement(
            event_secs=() if failed else tuple(events),
            wall_secs=()
            if failed
            else tuple(sample.wall_secs for sample in self.taken if sample.wall_secs is not None),
            number=self.number,
            warmup=self.warmup,
            timer=self.timer.name if self.timer else "",
            device=device_of(self.session),
            before=self.before,
            after=conditions_of(self.session),
            versions=versions(),
            failure=self.failure,
            error=self.error,
        )

    def _prepare(self, number: int | None, min_repeat_secs: float) -> None:
        chosen = self.session.timer(self.call)
        chosen.warm(self.warmup)
        self.number = number or number_for(chosen, min_repeat_secs)
        self.timer = chosen

    def _keep(self, samples: list[TimeSample] | None) -> None:
        """Add samples, unless one of them is no time."""
        for sample in samples or ():
            wrong = [secs for secs in sample if secs is not None and not (math.isfinite(secs) and secs > 0)]
            if wrong:
                self._fail("nan", f"a sample is {wrong[0]!r} s ({self.timer.name if self.timer else ''})")
        self.taken += samples or ()

    def _step(self, work: Callable[[], Value]) -> Value | None:
        """`work()` within the time limit, or None with the failure kept; nothing is done after a failure."""
        if self.error is not None:
            return None
        limit = f"the limit of {self.timeout_secs:g} s passed"
        try:
            with self.session.guard("measuring", self.timeout_secs + GRACE_SECS):
                return run_within(work, self.timeout_secs, "measuring")
        except TimeoutError:
            self.session.abort(f"{limit}; the session was cut to stop what ran")
            self._fail("timeout", limit)
        except DeviceUnreachable as error:
            self._fail("device", str(error))
        except Exception as error:  # whatever it is, it is this measurement's result
            self._fail("error", f"{type(error).__name__}: {reason(error, lines=40)}")
        return None

    def _fail(self, failure: str, error: str) -> None:
        if self.error is None:
            self.failure, self.error = failure, error


def device_of(session: Session) -> dict[str, Any]:
    """The device as it stands beside measurements: how it was opened, its profile, and what it says of itself."""
    return {"spec": session.spec, "profile": session.profile.name, **encode(session.info)}


def conditions_of(session: Session) -> dict[str, Any]:
    """Conditions of the device's machine; {} where it cannot say, or is gone (which the measuring will find out)."""
    try:
        answer = run_within(lambda: session.ask("fleetpose.conditions"), CONDITIONS_SECS, "asking for conditions")
        return answer if isinstance(answer, dict) else {}
    except (OSError, RuntimeError, ValueError, FleetposeError):
        log.debug("no conditions from %s", session.spec, exc_info=True)
        return {}


def number_for(chosen: Timer, min_repeat_secs: float) -> int:
    """Runs that make one sample last `min_repeat_secs`, found from short trials."""
    number = 1
    while number < MAX_NUMBER:
        secs = _run_secs(chosen, number)
        if secs * number >= min_repeat_secs or not secs > 0:
            return number
        wanted = math.ceil(1.1 * min_repeat_secs / secs)
        if number > 1 and wanted <= number * 2:
            return min(max(number, wanted), MAX_NUMBER)
        number = min(max(wanted, number + 1), MAX_NUMBER)
    return number


def _run_secs(chosen: Timer, number: int) -> float:
    """Seconds of a run: the least of TRIALS trials of `number` runs, which end once they have taken HELD_UP_SECS.

    Another process may have had the core during one of them; by that one, a single run would seem to be long enough
    for a sample.
    """
    least, taken = math.inf, 0.0
    for _ in range(TRIALS):
        (trial,) = chosen.samples(number, 1)
        secs = max(trial.event_secs or 0.0, trial.wall_secs or 0.0)
        least, taken = min(least, secs), taken + secs * number
        if taken >= HELD_UP_SECS:
            break
    return least
