"""Waiting until a device is cool: one that is hot, or slows itself down, gives times that it does not keep.

Waits are bounded, and a state that waiting does not change, such as a clock that is held down for good, is waited for
once, not before every run. A device of this machine is not waited for unless that is asked for.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from devices.session import Session
from devices.timing.measure import conditions_of
from devices.timing.throttling import Heat
from fleetpose.options import POSITIVE, check_numbers, option, real
from fleetpose.progress import Report, no_report

log = logging.getLogger("devices.timing.cooling")

#: the longest wait for a phone, where nothing else is said
PHONE_SECS = 120.0
#: between two looks, at first and at most
FIRST_PAUSE_SECS, MOST_PAUSE_SECS = 1.0, 5.0
#: a device that has not cooled by FALL_CELSIUS, nor slows less down, within so many seconds will not
STEADY_SECS, FALL_CELSIUS = 30.0, 0.5
#: hotter by so much than what was waited for in vain is worth another wait
WORSE_CELSIUS = 2.0


@dataclass(frozen=True)
class CoolingSettings:
    """When a device is too hot to be timed, and how long it is waited for."""

    max_celsius: float | None = option(
        None, "wait while the device is hotter, by its GPU's sensors where it has any (default: the profile's, else "
        "only until it does not slow itself down)", type=POSITIVE, metavar="C",
    )  # fmt: skip
    wait_cool: float | None = option(
        None, f"how long to wait for a device that is hot or slows itself down, each time (default: {PHONE_SECS:g} for "
        "phones and with --max-celsius, else 0)", type=real(), metavar="SECONDS",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_numbers(self)

    def most_secs(self, session: Session) -> float:
        """The longest wait for a device, in seconds."""
        if self.wait_cool is not None:
            return self.wait_cool
        return PHONE_SECS if self.max_celsius is not None or is_phone(session) else 0.0


def is_phone(session: Session) -> bool:
    """Whether kernels run on the GPU of another machine, whose clock follows its work and its heat."""
    return session.profile.gpu != "cpu" and not session.on_this_machine


class Cooler:
    """Waits for one device.

    Args:
        session: open; asked for its conditions.
        report: told how hot it is, and how long it has been waited for.
        stop: once set, nothing is waited for.
    """

    def __init__(
        self,
        session: Session,
        settings: CoolingSettings = CoolingSettings(),
        report: Report = no_report,
        stop: threading.Event | None = None,
    ) -> None:
        self.session, self.report, self.stop = session, report, stop or threading.Event()
        self.most_secs = settings.most_secs(session)
        self.most_celsius = settings.max_celsius or session.profile.max_celsius
        self._accepted: Heat | None = None

    def wait(self) -> bool:
        """Wait until the device is cool, does not cool any more, or time is over.

        Returns:
            Whether it is cool now; no where nothing may be waited for, when the device is not even asked.
        """
        if not self.most_secs:
            return False
        heat = Heat.of(conditions_of(self.session))
        if not self._is_hot(heat):
            self._accepted = None
            return True
        if self._accepted is not None and not self._is_worse(heat, self._accepted):
            return False
        log.warning("device %r is %s; waiting until %s, %g s at most", self.session.spec, heat,
                    self._wanted(heat), self.most_secs)  # fmt: skip
        heat = self._wait_for(heat)
        is_hot = self._is_hot(heat)
        if is_hot and not self.stop.is_set():
            log.warning("device %r stays %s; going on all the same", self.session.spec, heat)
        self._accepted = heat if is_hot else None
        return not is_hot

    def _wait_for(self, heat: Heat) -> Heat:
        """The heat at the end of the wait."""
        least, waited, steady, pause = heat, 0.0, 0.0, FIRST_PAUSE_SECS
        while self._is_hot(heat) and waited < self.most_secs and steady < STEADY_SECS:
            self.report(f"{heat}; waiting for {waited:.0f} of {self.most_secs:g} s until {self._wanted(heat)}")
            pause = min(pause, self.most_secs - waited)
            if self.stop.wait(pause):
                break
            waited += pause
            heat = Heat.of(conditions_of(self.session))
            if heat.is_cooler_than(least, FALL_CELSIUS):
                least, steady = heat, 0.0
            else:
                steady += pause
            pause = min(2 * pause, MOST_PAUSE_SECS)
        return heat

    def _is_hot(self, heat: Heat) -> bool:
        return bool(heat.slowed) or heat.is_above(self.most_celsius)

    def _is_worse(self, heat: Heat, accepted: Heat) -> bool:
        """Whether a wait may help that did not before. Below the limit a temperature is no reason to wait."""
        hotter = heat.is_above(self.most_celsius) and heat.is_above((accepted.celsius or 0.0) + WORSE_CELSIUS)
        return heat.level > accepted.level or hotter

    def _wanted(self, heat: Heat) -> str:
        """What is waited for, in words."""
        wanted = ["nothing is slowed down"] if heat.slowed else []
        return " and ".join(
            wanted + ([f"it is at {self.most_celsius:g} °C"] if heat.is_above(self.most_celsius) else [])
        )
