"""Devices whose conditions a test says, and waits that take no time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any


def hot(celsius: float, **throttled: int) -> dict[str, Any]:
    """Conditions of a GPU at a temperature; its clocks are slowed down where a state of them is given."""
    return {
        "temperatures_celsius": {"thermal_zone0:battery": 80.0, "thermal_zone1:gpuss-0": celsius},
        "throttled": {f"cooling_device0:{name}": state for name, state in throttled.items()},
    }


class Script:
    """Answers one after the other; the last one again and again. `asked`: how often."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self) -> Any:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


class ScriptedSession:
    """A session, or what of it is looked at here, whose conditions are those of a script."""

    def __init__(self, conditions: Callable[[], Any], session: Any) -> None:
        self.conditions, self.session = conditions, session

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def ask(self, name: str, *arguments: Any) -> Any:
        if name == "fleetpose.conditions":
            return self.conditions()
        return self.session.ask(name, *arguments)


class NoTime(threading.Event):
    """An event that is waited for without time going by; `waits`: for how many seconds each."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()
