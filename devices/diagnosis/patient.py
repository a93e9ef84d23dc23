"""What a check of `devices.doctor` is, and what checks share: the device asked for, and its session.

A check looks at a part and answers one line of detail, or raises: `Missing` where the part is not there, `Skipped`
where another one is in the way, anything else where it is there and does not work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from devices.session import Session


class Missing(Exception):
    """The part is not there."""


class Skipped(Exception):
    """The part could not be looked at, because of another one."""


class Patient:
    """What checks share: the device asked for, and its session once opened."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.session: Session | None = None

    def require_session(self) -> Session:
        """The session; Skipped where it could not be opened."""
        if self.session is None:
            raise Skipped("no RPC session")
        return self.session


@dataclass(frozen=True)
class Check:
    """One part: what it is called, whether the main path needs it, how to look, and the command that mends it."""

    name: str
    needed: bool
    look: Callable[[Patient], str]
    mend: str
