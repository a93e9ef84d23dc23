"""How far a recovery is: its time or its steps, its checkpoint, and Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from models.prune.settings import RecoverySettings
from models.train.running.checkpoint import load_checkpoint, remove_checkpoint, restoring, save_checkpoint


class RecoveryCourse:
    """The time that is spent, the earlier runs' included, and what is kept of it.

    Args:
        settings: how long it all takes.
        checkpoint: file; None: nothing is kept.
        identity: what tells this recovery from others.
        interrupted: whether it should end after the step at hand.
        clock: seconds; another one for experiments.
    """

    def __init__(
        self,
        settings: RecoverySettings,
        checkpoint: Path | None,
        identity: Mapping[str, Any],
        interrupted: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.checkpoint, self.identity = settings, checkpoint, dict(identity)
        self.interrupted, self._clock = interrupted, clock
        self._begun = self._saved = clock()

    @property
    def secs(self) -> float:
        """Spent so far."""
        return self._clock() - self._begun

    def load(self, restart: bool) -> dict[str, Any] | None:
        """The state that was kept; the time goes on from its own. Raises UsageError for another recovery's."""
        if self.checkpoint is None:
            return None
        if restart:
            remove_checkpoint(self.checkpoint)
        state = load_checkpoint(self.checkpoint, self.identity)
        self._begun = self._saved = self._clock()
        if state is not None:
            with restoring(self.checkpoint):
                self._begun -= state["secs"]
        return state

    def begin(self) -> None:
        """The time starts now."""
        self._begun = self._saved = self._clock()

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state."""
        if self.checkpoint is not None:
            save_checkpoint(self.checkpoint, self.identity, {**state, "secs": self.secs})
        self._saved = self._clock()

    def after_step(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Keep the state where it is time to. Raises KeyboardInterrupt, once it is kept, where one came."""
        stop = self.interrupted()
        if stop or self._clock() - self._saved > self.settings.checkpoint_secs:
            self.save(state())
        if stop:
            raise KeyboardInterrupt

    def share(self, step: int, first: float, last: float) -> float:
        """How much of a part of the course is over, 0 to 1: the seconds from `first` to `last`, or its steps."""
        if self.settings.steps is not None:
            return min(1.0, step / self.settings.steps)
        return min(1.0, max(0.0, (self.secs - first) / max(last - first, 1e-9)))
