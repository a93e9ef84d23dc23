"""The project's exceptions. Each class carries the exit status of the command it ends.

A message is one or two lines: what was wrong, with the value, and the command or flag that mends it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class FleetposeError(Exception):
    """Base of every error a user can meet; its text is shown without a traceback."""

    exit_status = 2


class UsageError(FleetposeError):
    """Bad input: a wrong name, file, shape or flag."""


class DataError(UsageError, ValueError):
    """A value that was read is not what its type says; the text names its place: "plan.json: layers.a.ms is 0, ..."."""


class DeviceUnreachable(FleetposeError):
    """No device answers, or it went away."""

    exit_status = 3


_SOURCE_LINE = re.compile(r"^(RPCError: )?Error caught from RPC call:$|^/\S+\.(cc|h):\d+: \w+$")


def reason(error: BaseException, lines: int = 4) -> str:
    """What an error says, in a few lines.

    TVM's errors come without where in TVM they were thrown, and through which layers of RPC.
    """
    text = [line.rstrip() for line in str(error).splitlines() if line.strip() and not _SOURCE_LINE.match(line)]
    return "\n".join(text[:lines]) or type(error).__name__


def first_line(error: BaseException, letters: int = 160) -> str:
    """The first line of what an error says, cut to so many letters; of one that says nothing its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:letters]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not among `known`: with a "did you mean" where one is close.

    Args:
        kind: what the name should have been, e.g. "model".
        name: what was given.
        known: every valid name.
    """
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(choices)}"
    return UsageError(f"unknown {kind} {name!r}; {hint}")
