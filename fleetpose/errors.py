"""The project's exceptions. Each class carries the exit status of the command it ends.

A message is one or two lines: what was wrong, with the value, and the command or flag that mends it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

#: letters of an input that an error quotes, letters of all names that one lists, and names that it is compared with
QUOTED, LISTED, COMPARED = 80, 4_000, 1_000
#: letters of an error
PAGE = 6_000


class FleetposeError(Exception):
    """Base of every error a user can meet; its text is shown without a traceback."""

    exit_status = 2

    def __str__(self) -> str:
        """What was wrong; whatever it quotes, no more than a page."""
        text = super().__str__()
        return text if len(text) <= PAGE else f"{text[:PAGE]}..."


class UsageError(FleetposeError):
    """Bad input: a wrong name, file, shape or flag."""


class DataError(UsageError, ValueError):
    """A value that was read is not what its type says; the text names its place: "plan.json: layers.a.ms is 0, ..."."""


class WrongResult(FleetposeError):
    """What runs on a device gives other numbers than float64 does, by more than rounding explains."""

    exit_status = 1


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


def quoted(value: Any, letters: int = QUOTED) -> str:
    """A value of an input as errors quote it: its `repr` on one line, cut to so many letters."""
    part = value[: letters + 1] if isinstance(value, str | bytes | list | tuple) else value
    text = repr(part)
    return text if len(text) <= letters else f"{text[: letters - 3]}..."


def one_line(value: Any, letters: int = QUOTED) -> str:
    """A value of an input as words of an error: its text on one line, cut to so many letters."""
    text = " ".join(str(value).split())
    return text if len(text) <= letters else f"{text[: letters - 3]}..."


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not among `known`: with a "did you mean" where one is close.

    Args:
        kind: what the name should have been, e.g. "model".
        name: what was given.
        known: every valid name.
    """
    choices = sorted(known)
    comparable = [choice for choice in choices if len(choice) <= 2 * QUOTED][:COMPARED]
    close = difflib.get_close_matches(name[:QUOTED], comparable, n=1, cutoff=0.5)
    listed = ", ".join(choices)
    listed = listed if len(listed) <= LISTED else f"{listed[:LISTED]}..."
    hint = f"did you mean {quoted(close[0])}?" if close else f"known: {listed}"
    return UsageError(f"unknown {kind} {quoted(name)}; {hint}")
