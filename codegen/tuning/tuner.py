"""Tuner: measures task after task on a device and keeps each row in the file as soon as it is known."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from codegen.judging.layers import RightResult
from codegen.lowering.layer import LoadedLayer, compile_layer
from codegen.tuning.contest import TIMEOUT_SECS, Contest
from codegen.tuning.database import CANDIDATES, METASCHEDULE, Tuned, TunedRow, tuned_path, update
from codegen.tuning.ranking.history import TrialHistory
from codegen.tuning.ranking.ranker import to_time
from codegen.tuning.tasks import Task
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.cooling import Cooler, CoolingSettings
from devices.timing.interleaved import measure_interleaved
from devices.timing.measurement import versions
from fleetpose.options import COUNT, SEED, check_numbers, option, real
from fleetpose.progress import Report, no_report

log = logging.getLogger("codegen.tuning.tuner")


@dataclass(frozen=True)
class TuneSettings:
    """How workloads are tuned.

    Attributes:
        seed: of MetaSchedule's search, too.
        budget_secs: counted from the start; None: no end.
        cooling: when the device is too hot to be timed, and how long it is waited for.
        share: of a workload's candidates, those that promise most; `codegen.tuning.ranking` learns which.
    """

    rounds: int = option(11, "rounds of the interleaved run that decides", type=COUNT)
    tuner: str = option(CANDIDATES, "what is tried", choices=(CANDIDATES, METASCHEDULE))
    trials: int = option(64, "programs per layer of --tuner metaschedule", type=COUNT)
    share: float = option(0.2, "share of a layer's candidates to time, 4 at least, the most promising first; 1: all",
                          type=real(above=0, most=1))  # fmt: skip
    budget_secs: float | None = option(None, "begin no candidate after so many seconds", type=real(), metavar="N")
    seed: int = option(0, "seed of the random operands", type=SEED)
    force: bool = option(False, "measure again what the file has")
    cooling: CoolingSettings = field(default_factory=CoolingSettings)

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True)
class Tuning:
    """What a tuning came to.

    Attributes:
        tuned: all that the file has now.
        measured: workloads whose row was written.
        left: workloads that have no row with as many candidates tried as are wanted.
        stopped: the KeyboardInterrupt that ended it before its time; None where none did.
    """

    tuned: Tuned
    measured: int
    left: int
    stopped: KeyboardInterrupt | None = None


def tune(
    session: Session,
    tasks: Sequence[Task],
    out: Path,
    settings: TuneSettings = TuneSettings(),
    host: str = "native",
    report: Report = no_report,
) -> Tuning:
    """Find the best schedule of each workload by measuring; each row is in the file as soon as it is known.

    Call it again with the same values to resume. Ctrl-C is in the answer, not raised.

    Args:
        session: an open device session.
        tasks: see `codegen.tuning.tasks.tasks_of`.
        out: the tuned data, read and written.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS.
        report: told what is being tried, the steps done and all steps.

    Raises:
        DeviceUnreachable: the device did not come back. UsageError: the file is no tuned data.
    """
    tuner, stopped = Tuner(session, out, settings, host), None
    try:
        tuner.run(tasks, report)
    except KeyboardInterrupt as interrupt:
        stopped = interrupt
    tuned = tuner.load()
    return Tuning(tuned, tuner.measured, sum(not tuner.is_done(task, tuned) for task in tasks), stopped)


@dataclass
class Tuner:
    """A tuning under way; see `tune`."""

    session: Session
    out: Path
    settings: TuneSettings
    host: str
    measured: int = 0
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def history(self) -> TrialHistory:
        """What was timed before, which says what to time first."""
        return TrialHistory.of(self.out, tuned_path(self.session.profile.name))

    @cached_property
    def cooler(self) -> Cooler:
        """Waits for the device where it is too hot to time a candidate."""
        return Cooler(self.session, self.settings.cooling)

    def load(self) -> Tuned:
        """What the file has; nothing where there is none. Raises UsageError where it is no tuned data."""
        return Tuned.load(self.out.absolute()) if self.out.exists() else Tuned()

    def run(self, tasks: Sequence[Task], report: Report) -> None:
        """Tune each task that is not done yet, in order, until time is over."""
        tuned = self.load()
        waiting = [task for task in tasks if self.settings.force or not self.is_done(task, tuned)]
        done, total = 0, sum(map(self._steps, waiting))
        for task in waiting:
            if self.expired():
                return

            def step(number: int, what: str, task: Task = task, done: int = done) -> None:
                report(f"{task.layers[0]} {what}", done + number, total)

            row = self._contest(task, step) if self.settings.tuner == CANDIDATES else self._metaschedule(task, step)
            done += self._steps(task)
            if row is None:
                log.warning("%s: nothing is known of it yet", task.layers[0])
            else:
                update(self.out, [row])
                self.measured += 1

    def is_done(self, task: Task, tuned: Tuned) -> bool:
        """Whether a file's data has the task with as many candidates (or trials) tried as are wanted."""
        row = tuned.row(task.workload, self.settings.tuner)
        return row is not None and row.tried >= self._steps(task)

    def expired(self) -> bool:
        """Whether the time is over."""
        return self.settings.budget_secs is not None and time.monotonic() - self.started >= self.settings.budget_secs

    def _steps(self, task: Task) -> int:
        if self.settings.tuner == METASCHEDULE:
            return self.settings.trials
        return to_time(len(task.choices), self.settings.share)

    def _contest(self, task: Task, step: Callable[[int, str], None]) -> TunedRow | None:
        """The most promising candidates, or those for which there is time: at least the default and another one."""
        inputs, weights = task.operands(self.settings.seed)
        contest = Contest(self.session, task.workload, weights, inputs, self.host)
        lanes = self.session.profile.lanes_of(task.workload.dtype)
        chosen = self.history.choose(task, self._steps(task), lanes)
        for number, choice in enumerate(chosen):
            if self.expired():
                break
            step(number, str(choice))
            self.cooler.wait()
            contest.enter(choice)
        if len(contest.trials) < 2:
            return None
        self.history.add(task, contest)
        step(len(chosen), "final")
        self.cooler.wait()
        verdict = contest.decide(self.settings.rounds, self.settings.seed)
        if verdict is None:
            first, why = contest.trials[0].choice, contest.trials[0].failure
            log.warning("%s: every candidate fails; %s: %s", task.workload.label, first, why)
            return None
        return self._row(
            task,
            best=verdict.best.to_dict(),
            ms=1e3 * verdict.secs,
            default_ms=None if verdict.default_secs is None else 1e3 * verdict.default_secs,
            ratio=verdict.ratio,
            low=verdict.low,
            high=verdict.high,
            tried=verdict.tried,
            failures=tuple({"choice": str(choice), "reason": why} for choice, why in verdict.failures),
        )

    def _metaschedule(self, task: Task, step: Callable[[int, str], None]) -> TunedRow | None:
        """MetaSchedule's best program against our default kernel, interleaved."""
        from codegen.tuning.metaschedule import Search

        inputs, weights = task.operands(self.settings.seed)
        search = Search(
            self.session,
            task.workload.layer,
            weights,
            inputs[0],
            expired=self.expired,
            progress=lambda measured: step(measured, f"program {measured}"),
        )
        best = search.best(self.settings.trials, self.settings.seed)
        if best is None:
            return None
        right = RightResult(replace(task.workload.layer, epilogue=()), "float32", inputs[:1], weights)
        if (fault := right.fault(search.answer(best))) is not None:
            log.warning("%s: MetaSchedule's best program: %s", task.workload.label, fault)
            return None
        self.cooler.wait()
        loaded = LoadedLayer(compile_layer(task.workload, weights, self.session.profile, self.host), self.session)
        calls = {"default": TimedCall(**loaded.call_arguments(inputs)), METASCHEDULE: best}
        result = measure_interleaved(self.session, calls, self.settings.rounds, timeout_secs=TIMEOUT_SECS, clock="wall")
        if not self.session.alive():
            self.session.reconnect()
        if METASCHEDULE not in result.ratios:
            errors = (measurement.error for measurement in result.measurements.values() if measurement.error)
            log.warning("%s: %s", task.workload.label, next(errors))
            return None
        ours, theirs = (result.measurements[name].wall_median_secs or 0.0 for name in calls)
        ratio = result.ratios[METASCHEDULE]
        return self._row(
            task,
            best={"schedule": METASCHEDULE},
            ms=1e3 * theirs,
            default_ms=1e3 * ours,
            ratio=ratio.median,
            low=ratio.low,
            high=ratio.high,
            tried=search.measured if self.expired() else self.settings.trials,
            failures=tuple({"choice": f"{count} programs", "reason": why} for why, count in search.failures.items()),
        )

    def _row(self, task: Task, **columns: Any) -> TunedRow:
        rounded: dict[str, Any] = {
            name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in columns.items()
        }
        return TunedRow(
            task.key,
            self.settings.tuner,
            default=task.choices[0].to_dict(),
            device=self._device(),
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **rounded,
        )

    def _device(self) -> dict[str, Any]:
        """The device, its driver, and the versions of what measured, as they stand in every row."""
        info = self.session.info
        named = {"profile": self.session.profile.name, "name": info.name, "driver": info.driver}
        return {**named, "platform": info.platform_version or info.platform, **versions()}
