"""A pool of devices: threads with a device session each take runs from one feed until it or their device is gone.

What a lost device was at goes back into the feed for the others. Where the device is another machine, the next run is
compiled while one is timed; on this machine that would disturb the timing, so there it waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from devices.session import Session
from devices.timing.measure import device_of
from fleetpose.errors import DeviceUnreachable, UsageError
from fleetpose.progress import Report
from latency.profiling.bench import LayerBench, Outcome
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.prepare import Prepared, Recipe
from latency.profiling.reference_kernel import Pace
from latency.profiling.space import Group
from latency.records.identity import IDENTITY

log = logging.getLogger("latency.profiling.device_pool")

#: devices that may be lost over one run before it is left alone
MOST_LOST = 2
#: between looks at the threads
JOIN_SECS = 0.05


class Feed:
    """Runs that are to be done, for several threads.

    Args:
        groups: in order.
        expired: asked before each is given out; True ends the work.
    """

    def __init__(self, groups: Iterable[Group], expired: Callable[[], bool] = lambda: False) -> None:
        self._waiting = deque(groups)
        self._expired = expired
        self._over = False
        self._out = 0
        self._lost: Counter[tuple] = Counter()
        self._change = threading.Condition()

    def take(self, wait: bool = True) -> Group | None:
        """The next run; None where there is none. With `wait`, one that another thread may give back is waited for."""
        with self._change:
            while not self._waiting and self._out and wait and not self._over:
                self._change.wait(0.2)
            if not self._waiting or self._over or self._expired():
                return None
            self._out += 1
            return self._waiting.popleft()

    def finish(self) -> None:
        """A run that was taken is done."""
        with self._change:
            self._out -= 1
            self._change.notify_all()

    def give_back(self, group: Group, lost: bool = False) -> None:
        """A run that was taken is not done. `lost`: because its device went away while at it."""
        with self._change:
            self._out -= 1
            name = (group.key, group.sparsities)
            self._lost[name] += lost
            if self._lost[name] < MOST_LOST:
                self._waiting.appendleft(group)
            else:
                log.warning("%s is left alone: %d devices were lost over it", group.workload.label, MOST_LOST)
            self._change.notify_all()

    def close(self) -> None:
        """Give out nothing more."""
        self._over = True

    def __len__(self) -> int:
        return len(self._waiting) + self._out


class _Work(NamedTuple):
    group: Group
    ahead: Future[list[Prepared]] | None


Keep = Callable[[Group, list[Outcome], Pace, Session], None]


class DevicePool:
    """The workers of one collection.

    Args:
        feed, recipe, settings: what is to be done, and how.
        keep: called with what came of each run, by any of the threads, one at a time.
        report: told what is waited for.
    """

    def __init__(self, feed: Feed, recipe: Recipe, settings: RunSettings, keep: Keep, report: Report) -> None:
        self.feed, self.recipe, self.settings, self.keep, self.report = feed, recipe, settings, keep, report
        self.lost: list[DeviceUnreachable] = []
        self._errors: list[BaseException] = []
        self._stop = threading.Event()
        self._done = threading.Event()
        self._opening: set[threading.Thread] = set()
        self._keeping = threading.Lock()
        self._sessions: list[Session] = []

    def run(self, first: Session, others: Sequence[Callable[[], Session]] = ()) -> None:
        """Work until the feed is empty.

        Args:
            first: an open session; its device is what the records are of.
            others: open one further session each, for as many more threads.

        Raises:
            DeviceUnreachable: every device is gone and work is left.
            KeyboardInterrupt: after the sessions were cut and the threads have ended.
        """
        overlap = not first.on_this_machine
        with ThreadPoolExecutor(1, "compiler") as compiler:
            ahead = compiler if overlap else None
            openers = [lambda: first, *others]
            threads = [
                threading.Thread(target=self._work, args=(opener, first, ahead), daemon=True) for opener in openers
            ]
            try:
                for thread in threads:
                    thread.start()
                while not self._over(threads):
                    time.sleep(JOIN_SECS)
            except KeyboardInterrupt:
                self._interrupt(threads)
                compiler.shutdown(wait=False, cancel_futures=True)
                raise
        if self._errors:
            raise self._errors[0]
        if self.lost and len(self.lost) == len(threads):
            raise self.lost[-1]

    def _over(self, threads: Sequence[threading.Thread]) -> bool:
        """Whether no thread works; those that wait for a device when the work is done are not waited for."""
        alive = {thread for thread in threads if thread.is_alive()}
        return not alive or (self._done.is_set() and alive <= self._opening)

    def _interrupt(self, threads: Sequence[threading.Thread]) -> None:
        self._stop.set()
        self.feed.close()
        for session in list(self._sessions):
            session.abort("interrupted")
        for thread in threads:
            thread.join(2.0)

    def _work(self, opener: Callable[[], Session], first: Session, compiler: ThreadPoolExecutor | None) -> None:
        """One thread's life."""
        me = threading.current_thread()
        self._opening.add(me)
        try:
            session = opener()
            self._opening.discard(me)
            self._sessions.append(session)
            try:
                _check_same(session, first)
                self._serve(LayerBench(session, self.settings, self.report, self._stop), compiler)
            finally:
                if session is not first:
                    session.close()
        except DeviceUnreachable as error:
            if not self._stop.is_set():
                log.warning("one device less: %s", error)
                self.lost.append(error)
        except BaseException as error:
            self._errors.append(error)
            self.feed.close()

    def _serve(self, bench: LayerBench, compiler: ThreadPoolExecutor | None) -> None:
        work = self._take(compiler, wait=True)
        while work is not None and not self._stop.is_set():
            started = time.monotonic()
            prepared = self.recipe.prepare(work.group) if work.ahead is None else work.ahead.result()
            compiled = time.monotonic()
            ahead = self._take(compiler, wait=False) if compiler else None
            try:
                outcomes, pace = bench.time(work.group, prepared)
            except BaseException as error:
                self.feed.give_back(work.group, lost=isinstance(error, DeviceUnreachable))
                if ahead is not None:
                    self.feed.give_back(ahead.group)
                raise
            spent = (compiled - started, time.monotonic() - compiled)
            log.info("%s: %.1f s waiting for kernels, %.1f s on the device", work.group.workload.label, *spent)
            with self._keeping:
                self.keep(work.group, outcomes, pace, bench.session)
            self.feed.finish()
            work = ahead or self._take(compiler, wait=True)
        self._done.set()

    def _take(self, compiler: ThreadPoolExecutor | None, wait: bool) -> _Work | None:
        group = self.feed.take(wait)
        if group is None:
            return None
        return _Work(group, compiler.submit(self.recipe.prepare, group) if compiler else None)


def _check_same(session: Session, first: Session) -> None:
    """Raise UsageError where a device is of another kind than the first: their times must not mix."""
    expected, own = device_of(first), device_of(session)
    for name in IDENTITY:
        if expected[name] != own[name]:
            raise UsageError(
                f"the devices behind {first.spec} differ in {name}: {expected[name]!r} and {own[name]!r}\n"
                f"offer each kind under a key of its own (devices.serve --key)"
            )
