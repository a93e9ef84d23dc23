"""One network on several engines and plans, prepared and timed in interleaved runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.engines import EngineJob, PreparedEngine, engine, prepare
from devices.timing.interleaved import Interleaved, bootstrap_median, measure_interleaved
from devices.timing.measure import measure
from devices.timing.measurement import Measurement
from fleetpose.errors import reason
from fleetpose.progress import Report
from models.plans.sparsity import DENSE

log = logging.getLogger("benchmarks.networks")

REST_SECS = 0.03


@dataclass(frozen=True)
class NetworkContender:
    """What one row is about: a network's weights as planned ("dense": as they are), on an engine."""

    engine: str
    plan: str = DENSE

    def __str__(self) -> str:
        return f"{self.engine} {self.plan}"


@dataclass
class EngineRow:
    """One contender's times on one network.

    Attributes:
        size: of the input, (height, width).
        median_ms, min_ms: over `rounds` samples of one inference each; None where there is an `error`.
        max_abs_error: of the outputs against PyTorch.
        time_over_ours: {"median", "low", "high"}: seconds of this one / seconds of ours dense in the same round, with
            the 95 % bootstrap interval of the median over the rounds; None without both.
    """

    network: str
    plan: str
    engine: str
    threads: int
    size: tuple[int, int]
    rounds: int = 0
    median_ms: float | None = None
    min_ms: float | None = None
    max_abs_error: float | None = None
    time_over_ours: dict[str, float] | None = None
    error: str | None = None


class EngineComparison:
    """One network on several contenders. The first that works is the one ratios are of, if it is ours.

    Args:
        jobs: by the label of their plan, "dense" among them.
        contenders: each with a plan that has a job.
        progress: told what is going on.
    """

    def __init__(self, jobs: Mapping[str, EngineJob], contenders: Sequence[NetworkContender], progress: Report) -> None:
        self.jobs, self.job, self.progress = jobs, jobs[DENSE], progress
        height, width = self.job.tensor.shape[2:]
        self.rows = {
            contender: EngineRow(self.job.model, contender.plan, contender.engine, self.job.threads, (height, width))
            for contender in sorted(
                contenders, key=lambda contender: (contender.engine != "ours", contender.plan != DENSE)
            )
        }
        self.prepared: dict[NetworkContender, PreparedEngine] = {}

    def run(self, rounds: int) -> list[EngineRow]:
        """Time all, the slow ones after the others and in turn with the reference alone."""
        slow = [contender for contender in self.rows if engine(contender.engine).most_rounds is not None]
        fast = [contender for contender in self.rows if contender not in slow]
        self._prepare(fast)
        self._time(list(self.prepared), rounds)
        for contender in slow:
            reference = next(iter(self.prepared), contender)
            self._prepare([contender])
            if contender in self.prepared:
                most = engine(contender.engine).most_rounds or rounds
                self._time(list(dict.fromkeys([reference, contender])), min(rounds, most))
                del self.prepared[contender]
        return list(self.rows.values())

    def _prepare(self, contenders: Sequence[NetworkContender]) -> None:
        for contender in contenders:
            self.progress(f"{self.job.model}: preparing {contender}")
            try:
                self.prepared[contender] = prepare(contender.engine, self.jobs[contender.plan])
                self.rows[contender].max_abs_error = self.prepared[contender].max_abs_error
            except Exception as error:  # whatever ails an engine is its row's text
                log.debug("%s", contender, exc_info=True)
                self.rows[contender].error = reason(error)

    def _time(self, contenders: Sequence[NetworkContender], rounds: int) -> None:
        if not contenders:
            return
        self.progress(f"{self.job.model}: timing {', '.join(map(str, contenders))}, {rounds} rounds")
        calls = {str(contender): self.prepared[contender].call for contender in contenders}
        session = self.job.session
        if len(calls) == 1:
            ((name, call),) = calls.items()
            alone = measure(session, call.function, call.args, entry=call.entry, repeats=rounds, number=1)
            timing_run = Interleaved(name, "wall", {name: alone}, {})
        else:
            timing_run = measure_interleaved(session, calls, rounds, number=1, clock="wall", rest_secs=REST_SECS)
        for contender in contenders:
            if not self.rows[contender].rounds:
                self._fill(self.rows[contender], timing_run.measurements[str(contender)])
            if str(contender) in timing_run.ratios and contenders[0] == NetworkContender("ours"):
                self.rows[contender].time_over_ours = _over(timing_run.ratios[str(contender)].rounds)

    def _fill(self, row: EngineRow, timing: Measurement) -> None:
        if not timing.ok:
            row.error = timing.error
            return
        milliseconds = 1e3 * np.array(timing.wall_secs)
        row.rounds = len(milliseconds)
        row.median_ms, row.min_ms = float(np.median(milliseconds)), float(milliseconds.min())


def _over(times_as_fast: Sequence[float]) -> dict[str, float]:
    """Time over the reference's time, from the reference's time over it in each round."""
    over = 1 / np.array(times_as_fast)
    low, high = bootstrap_median(over)
    return {"median": float(np.median(over)), "low": low, "high": high}
