"""Settling a device before it is timed, and marking what was timed although it had not settled.

A phone that is hot slows itself down: it is waited for (`devices.timing.cooling`). One that was idle runs at a low
clock: a kernel runs until the clock, or what the kernel takes, no longer changes. What is slow, hot or busy all the
same is marked (`devices.timing.throttling.Mark`). A device of this machine is neither warmed up nor waited for by
default.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from devices.session import Session
from devices.timing.cooling import Cooler, CoolingSettings, is_phone
from devices.timing.measurement import Measurement
from devices.timing.throttling import Heat, Mark, busy_share, marks_of, number_of
from fleetpose.progress import Report

log = logging.getLogger("latency.profiling.settling")

#: a burst lasts longer than drivers take to look at the load, and is long over before they lower the clock again
BURST_SECS = 0.06
#: bursts at most, and those without a gain after which there is none to come
MOST_BURSTS, STEADY_BURSTS = 24, 2
#: a highest clock below this is no clock: some drivers tell OpenCL 0 or 1 MHz
LEAST_MHZ = 100.0
#: what is no gain: clocks and times wander by as much
GAIN = 1.02


@dataclass(frozen=True)
class Condition:
    """The state of a device during a run.

    Attributes:
        marks: why its times are not the device's usual ones; (): nothing says so.
        clock_mhz: of its GPU right after it was busy; None where it cannot be read, or nobody looked.
    """

    marks: tuple[Mark, ...] = ()
    clock_mhz: float | None = None

    @property
    def throttled(self) -> bool:
        """Whether the device held itself back."""
        return Mark.THROTTLED in self.marks


class Settling:
    """One device on its way to being timed.

    Args:
        session: open, with a device that runs kernels.
        settings: see CoolingSettings.
        burst: times a kernel in one sample of BURST_SECS; its conditions "after" are those of a device that is busy.
        report: told what is waited for.
        stop: once set, nothing is waited for.
    """

    def __init__(
        self,
        session: Session,
        settings: CoolingSettings,
        burst: Callable[[], Measurement],
        report: Report,
        stop: threading.Event,
    ) -> None:
        self.session, self.burst, self.stop = session, burst, stop
        self.cooler = Cooler(session, settings, report, stop)
        self._warned: set[Mark] = set()

    def settle(self) -> None:
        """Wait until the device is cool, then run until its clock is up."""
        self.cooler.wait()
        if is_phone(self.session):
            self._raise_clock()

    def _raise_clock(self) -> None:
        """Run bursts until the GPU's clock stops rising; where it cannot be read, until their time stops falling."""
        best, steady = 0.0, 0
        for _ in range(MOST_BURSTS):
            timing = self.burst()
            if not timing.ok or self.stop.is_set():
                return
            clock, most = self._clocks(timing)
            speed = clock or 1 / min(timing.wall_secs)
            steady = 0 if speed > GAIN * best else steady + 1
            best = max(best, speed)
            if steady == STEADY_BURSTS or (clock and most and clock * GAIN >= most):
                return

    def condition(self, timing: Measurement) -> Condition:
        """The state of the device during a run that has just ended.

        Args:
            timing: of any of the kernels in it: what the device said before and after the run.
        """
        clock = most = None
        if is_phone(self.session):
            clock, most = self._clocks(self.burst())
        marks = marks_of(timing.before, timing.after, clock, most)
        if not is_phone(self.session):  # kernels may run on the cores that are busy then
            marks = tuple(mark for mark in marks if mark != Mark.BUSY)
        for mark in set(marks) - self._warned:
            log.warning("device %r %s; records say so (%s)", self.session.spec,
                        _reason(mark, timing, clock, most), mark.value)  # fmt: skip
        self._warned |= set(marks)
        return Condition(marks, clock)

    def _clocks(self, timing: Measurement) -> tuple[float | None, float | None]:
        """The GPU's clock after a burst and its highest, in MHz."""
        by_opencl = float(self.session.info.clock_mhz)
        most = number_of(timing.after, "gpu_clock_most_mhz") or (by_opencl if by_opencl >= LEAST_MHZ else None)
        return number_of(timing.after, "gpu_clock_mhz"), most


def _reason(mark: Mark, timing: Measurement, clock: float | None, most: float | None) -> str:
    """Why a mark is there, in words that follow a device's name."""
    if mark is Mark.SLOW_CLOCK:
        return f"runs its GPU at {clock:g} MHz of {most:g} while it is timed"
    if mark is Mark.BUSY:
        share = busy_share(timing.before, timing.after) or 0.0
        return f"has other work that keeps {share:.0%} of its processors busy"
    heats = [Heat.of(timing.before), Heat.of(timing.after)]
    return f"was {max(heats, key=lambda heat: heat.level)} while it was timed"
