"""One line on a terminal's stderr that says what is going on, how far it is and how long it may take still."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger("fleetpose.progress")


class Report(Protocol):
    """What long work calls as it goes on, with a message, how many steps are done, and of how many (0: not known)."""

    def __call__(self, message: str, done: int = 0, total: int = 0, /) -> None: ...


def no_report(message: str, _done: int = 0, _total: int = 0) -> None:
    """The Report of work that nobody watches: it only logs."""
    log.info("%s", message)


class Progress:
    """Call it with a message, and with `done` and `total` where the end is known. Off a terminal it only logs."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.monotonic()
        self.shown = sys.stderr.isatty()

    def __call__(self, message: str, done: int = 0, total: int = 0) -> None:
        log.info("%s: %s", self.title, message)
        if not self.shown:
            return
        elapsed = time.monotonic() - self.started
        text = f"{self.title}: {message} [{elapsed:.0f} s]"
        if total:
            left = f", {elapsed / done * (total - done):.0f} s left" if done else ""
            text = f"{self.title}: {100 * done // total:3d} %  {message} [{elapsed:.0f} s{left}]"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\033[K{text[:width]}")
        sys.stderr.flush()

    def close(self) -> None:
        """Remove the line."""
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


@contextmanager
def status(title: str) -> Iterator[Progress]:
    """A Progress that is removed at the end, whatever happens."""
    progress = Progress(title)
    try:
        yield progress
    finally:
        progress.close()
