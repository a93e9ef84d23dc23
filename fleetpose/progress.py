"""One line on a terminal's stderr that says what is going on, how far it is and how long all of it may take still.

`rich` draws it, and is imported only where there is a terminal. The cursor is never hidden, so a process that is killed
leaves the terminal as it was.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from fleetpose import terminal
from fleetpose.outlook import StageOutlook

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

log = logging.getLogger("fleetpose.progress")

#: the lines that are on the terminal; the last one is drawn
_SHOWN: list[Progress] = []
#: seconds after which a line is drawn again at the earliest, and without being called
_LEAST_SECS, _TICK_SECS = 0.1, 1.0
_CLEAR = "\r\033[K"


class Report(Protocol):
    """What long work calls as it goes on, with a message, how many steps are done, and of how many (0: not known)."""

    def __call__(self, message: str, done: int = 0, total: int = 0, /) -> None: ...


def no_report(message: str, _done: int = 0, _total: int = 0) -> None:
    """The Report of work that nobody watches: it only logs."""
    log.info("%s", message)


class Progress:
    """Call it with a message, and with `done` and `total` where the end is known. Off a terminal it only logs.

    Args:
        title: what is going on.
        outlook: of work in stages; the bar and the time left are then those of all stages, and `done` of `total` those
            of the stage at hand.
    """

    def __init__(self, title: str, outlook: StageOutlook | None = None) -> None:
        self.title, self.outlook = title, outlook
        self.started = time.monotonic()
        self.shown = terminal.draws(sys.stderr)
        self._message, self._done, self._total = "", 0, 0
        self._drawn = 0.0
        self._closed, self._lock = threading.Event(), threading.Lock()
        if self.shown:
            self._console = _console()
            _SHOWN.append(self)
            threading.Thread(target=self._tick, name="progress", daemon=True).start()

    def __call__(self, message: str, done: int = 0, total: int = 0) -> None:
        log.info("%s: %s", self.title, message)
        self._message, self._done, self._total = message, done, total
        if self.shown and time.monotonic() - self._drawn >= _LEAST_SECS:
            self._draw()

    def turn_to(self, title: str) -> None:
        """Something else goes on from now."""
        self.title, self._message, self._done, self._total = title, "", 0, 0

    def say(self, text: str) -> None:
        """Write a line to stderr that stays, above the one that moves."""
        clear()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the line."""
        if self.shown and not self._closed.is_set():
            self._closed.set()
            with self._lock:
                _SHOWN.remove(self)
                _write(_CLEAR)

    @property
    def fraction(self) -> float | None:
        """How much is done, 0 to 1; None where that is not known."""
        if self.outlook is not None:
            return self.outlook.fraction(self._part)
        return self._part if self._total else None

    @property
    def secs_left(self) -> float | None:
        """Seconds until the end; None where that is not known."""
        if self.outlook is not None:
            return self.outlook.secs_left(self._part)
        return (time.monotonic() - self.started) * (1 / self._part - 1) if self._part else None

    @property
    def _part(self) -> float:
        return min(self._done / self._total, 1.0) if self._total else 0.0

    def _tick(self) -> None:
        while not self._closed.wait(_TICK_SECS):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            if not self._closed.is_set() and _SHOWN[-1:] == [self]:
                self._drawn = time.monotonic()
                _write(_CLEAR + self._line(shutil.get_terminal_size().columns - 1))

    def _line(self, width: int) -> str:
        """The line, in as many columns at most."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        fraction, left = self.fraction, self.secs_left
        times = _clock(time.monotonic() - self.started) + ("" if left is None else f", {_clock(left)} left")
        cells: list[tuple[RenderableType, int, str]] = [(self.title, len(self.title), "bold")]
        if fraction is not None:
            if width > 70:
                bar = min(30, (width - 50) // 2)
                cells.append((ProgressBar(1.0, fraction, bar, style="bright_black", complete_style="green"), bar, ""))
            cells.append((f"{100 * fraction:3.0f} %", 5, ""))
        cells += [(times, len(times), "cyan")]
        while (rest := width - sum(size + 2 for _, size, _ in cells)) < -2 and len(cells) > 1:
            cells.pop(0)
        if rest > 6:
            cells.append((self._message, rest - 2, ""))
        grid = Table.grid(padding=(0, 2, 0, 0))
        for _, size, style in cells:
            grid.add_column(width=size, no_wrap=True, overflow="ellipsis", style=style)
        grid.add_row(*(cell for cell, _, _ in cells))
        self._console.width = width + 2
        with self._console.capture() as capture:
            self._console.print(grid, end="")
        return capture.get().partition("\n")[0].rstrip()


class AboveProgress(logging.StreamHandler):
    """Log lines on stderr, above the line that moves, where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        clear()
        super().emit(record)


def clear() -> None:
    """Remove the line that moves for what is written next to stderr; it comes again by itself."""
    if _SHOWN:
        _write(_CLEAR)


@contextmanager
def status(title: str, outlook: StageOutlook | None = None) -> Iterator[Progress]:
    """A Progress that is removed at the end, whatever happens."""
    progress = Progress(title, outlook)
    try:
        yield progress
    finally:
        progress.close()


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def _clock(secs: float) -> str:
    """ "3:07", "1:02:45"."""
    minutes, rest = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _write(text: str) -> None:
    """To the terminal at one go and past Python's buffer, whose lock a process that forks meanwhile might inherit."""
    with suppress(OSError, ValueError):  # the terminal is gone
        os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding or "utf-8", "replace"))
