"""Whether files may run code: what --trust says, for a command and for the processes that it starts."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator

from fleetpose.errors import UsageError

#: 1 stands for --trust, in programs that are no commands
VARIABLE = "FLEETPOSE_TRUST"


def add_trust_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--trust",
        action="store_true",
        help="run code that files hold or name: a .pt2 of more than plain tensors, a factory that a file names",
    )


def trusted() -> bool:
    """Whether the user said that files may run code."""
    return os.environ.get(VARIABLE) == "1"


@contextlib.contextmanager
def trusting(yes: bool) -> Iterator[None]:
    """Where `yes`, files may run code inside, in this process and in those that it starts."""
    before = os.environ.get(VARIABLE)
    if yes:
        os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        if yes and before is None:
            del os.environ[VARIABLE]
        elif yes and before is not None:
            os.environ[VARIABLE] = before


def untrusted(what: str) -> UsageError:
    """The error that says what would run code, and how to let it."""
    return UsageError(f"{what}; if you trust who made it, add --trust (docs/security.md)")
