"""How long stages that follow each other take still: what was expected of them, corrected by what those before took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set

#: Seconds that the expectations weigh against what stages took, and the most that one may be the multiple of the other.
_WEIGHT, _LIMIT = 20.0, 5.0
#: Of a stage that takes longer than expected, without saying how far it is, so much of its time is thought to be left.
_OVERDUE = 0.2


class StageOutlook:
    """The time that a sequence of stages needs still.

    A stage that is slower or faster than expected says so of the machine, and so of all stages to come but those whose
    time is given by a budget. Call `begin`, then `end` or `skip`, stage by stage.

    Args:
        expected: stage -> seconds, in their order.
        budgeted: stages that take what they are given, however fast the machine is.
        clock: answers seconds.
    """

    def __init__(
        self,
        expected: Mapping[str, float],
        budgeted: Set[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._budgeted, self._clock = dict(expected), budgeted, clock
        self._stage, self._wanted, self._started = "", 0.0, 0.0
        self._expected_secs = self._took_secs = _WEIGHT
        self._done_secs = self._shown = 0.0

    def begin(self, stage: str, spent: float = 0.0) -> None:
        """A stage begins; runs before this one have spent some seconds on it already."""
        self._stage, self._wanted, self._started = stage, max(0.0, self._open.pop(stage) - spent), self._clock()

    def skip(self, stage: str) -> None:
        """A stage was done before."""
        self._open.pop(stage)

    def end(self) -> None:
        """The stage at hand is done."""
        took = self._clock() - self._started
        if self._stage not in self._budgeted:
            self._expected_secs, self._took_secs = self._expected_secs + self._wanted, self._took_secs + took
        self._done_secs += took
        self._stage = ""

    def secs_left(self, part: float = 0.0) -> float:
        """Seconds until all is done, where `part` (0 to 1) of the stage at hand is done; 0 where it does not say."""
        later = sum(self._expectation(stage, secs) for stage, secs in self._open.items())
        if not self._stage:
            return later
        elapsed, wanted = self._clock() - self._started, self._expectation(self._stage, self._wanted)
        if part > 0:  # the further it is, the more its own pace counts
            return later + (1 - part) * ((1 - part) * wanted + elapsed)
        return later + max(wanted - elapsed, _OVERDUE * min(wanted, elapsed))

    def fraction(self, part: float = 0.0) -> float:
        """How much of all is done, 0 to 1, by time; never less than it was said to be before."""
        elapsed = self._done_secs + (self._clock() - self._started if self._stage else 0.0)
        left = self.secs_left(part)
        self._shown = max(self._shown, elapsed / (elapsed + left) if elapsed + left else 0.0)
        return self._shown

    def _expectation(self, stage: str, secs: float) -> float:
        pace = 1.0 if stage in self._budgeted else self._took_secs / self._expected_secs
        return secs * min(max(pace, 1 / _LIMIT), _LIMIT)
