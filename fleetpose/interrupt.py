"""Loops that end where they choose to when Ctrl-C is pressed, instead of in the midst of something."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def until_interrupted(*signals: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether one of `signals` (SIGINT if none are given) came; a second one acts as ever.

    Outside the main thread, where Python allows no handlers, the answer stays False.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = {number: signal.getsignal(number) for number in signals or (signal.SIGINT,)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(*_: object) -> None:
        came.set()
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        restore()


@contextmanager
def treat_sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt inside, as Ctrl-C does. Outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def hold_interrupt() -> Iterator[None]:
    """An interrupt that is swallowed inside, or turned into another error, is a KeyboardInterrupt at the end.

    Foreign code does so where it calls back into Python: Ctrl-C while TVM compiles may arrive as a RuntimeError, which
    would pass for a failure of what is compiled. Signals whose handler is not Python's are left as they are, and
    outside the main thread nothing changes. Also a decorator.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = threading.Event()
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        handler = before[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)

    watched = [signum for signum, handler in before.items() if callable(handler)]
    for signum in watched:
        signal.signal(signum, note)
    try:
        yield
    except Exception as error:
        if came.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        for signum in watched:
            signal.signal(signum, before[signum])
    if came.is_set():
        raise KeyboardInterrupt
