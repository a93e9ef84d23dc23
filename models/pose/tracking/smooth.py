"""Keypoints of a video made steady: still ones hold still, moving ones do not lag.

The One-Euro filter, Casiez, Roussel and Vogel, "1 EUR Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems" (CHI 2012), Algorithm 1: a first-order low-pass whose cutoff grows with the speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.pose.person import Person


@dataclass(frozen=True)
class OneEuroSettings:
    """The filter's constants; the defaults are those of Lightweight OpenPose's demo.

    freq: Hz, of frames whose time says nothing (it does not grow). min_cutoff: Hz, of what is still: lower is steadier.
    beta: cutoff gained per speed, Hz / (pixel / s): higher lags less. It goes with the scale: in a picture twice as
        large everything is twice as fast, so half the beta does the same.
    derivative_cutoff: Hz, of the speed.
    """

    freq: float = 15.0
    min_cutoff: float = 1.0
    beta: float = 0.05
    derivative_cutoff: float = 1.0

    def __post_init__(self) -> None:
        if min(self.freq, self.min_cutoff, self.derivative_cutoff) <= 0 or self.beta < 0:
            raise ValueError(f"not settings of a One-Euro filter: {self}")


DEFAULTS = OneEuroSettings()


class OneEuro:
    """One filter for each number of an array; all see the same times, but each may be missing at any of them."""

    def __init__(self, shape: tuple[int, ...], settings: OneEuroSettings = DEFAULTS) -> None:
        self.settings = settings
        self._value, self._speed = np.full(shape, np.nan), np.zeros(shape)
        self._secs = np.zeros(shape)

    def __call__(self, values: np.ndarray, secs: float) -> np.ndarray:
        """Filtered `values`, of the shape given at first; NaN (missing) stays NaN.

        A number that returns after a gap is filtered over the gap's length, so after a long one it starts anew.
        """
        settings = self.settings
        here, known = ~np.isnan(values), ~np.isnan(self._value)
        step = np.where(secs > self._secs, secs - self._secs, 1 / settings.freq)
        speed = (values - self._value) / step
        speed = self._speed + _weight(settings.derivative_cutoff, step) * (speed - self._speed)
        weight = _weight(settings.min_cutoff + settings.beta * np.abs(speed), step)
        value = np.where(known, self._value + weight * (values - self._value), values)
        self._speed = np.where(here & known, speed, self._speed)
        self._value = np.where(here, value, self._value)
        self._secs = np.where(here, secs, self._secs)
        return np.where(here, value, np.nan)


def _weight(cutoff: float | np.ndarray, step: np.ndarray) -> np.ndarray:
    """Of the new value in a first-order low-pass: 1 / (1 + tau / step), tau = 1 / (2 pi cutoff)."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))


class Smoother:
    """Filters the keypoints of people who have identities, each coordinate by itself.

    forget_secs: a filter not used for so long is dropped.
    """

    def __init__(self, settings: OneEuroSettings = DEFAULTS, forget_secs: float = 2.0) -> None:
        self.settings, self.forget_secs = settings, forget_secs
        self._filters: dict[int, tuple[OneEuro, float]] = {}

    def __call__(self, people: Sequence[Person], secs: float) -> list[Person]:
        """The same people with filtered keypoints, scores as they were; who has no identity is left alone.

        Args:
            people: of one frame, no identity twice.
            secs: the frame's time.
        """
        self._filters = {
            identity: (euro, last)
            for identity, (euro, last) in self._filters.items()
            if secs - last <= self.forget_secs
        }
        return [person if person.identity is None else self._smooth(person, person.identity, secs) for person in people]

    def _smooth(self, person: Person, identity: int, secs: float) -> Person:
        xy = person.keypoints[:, :2]
        euro, _ = self._filters.get(identity) or (OneEuro(xy.shape, self.settings), secs)
        self._filters[identity] = euro, secs
        return replace(person, keypoints=np.column_stack([euro(xy, secs), person.keypoints[:, 2]]))
