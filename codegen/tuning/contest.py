"""All candidates of one workload against each other on a device.

Each is compiled, its result judged by float64 (`codegen.judging`), and timed by a few samples; the best few then run
interleaved with the default, which is judged like all others. A candidate that fails stays on record with its reason,
and what it did to the session is mended.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from codegen.judging.layers import RightResult
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Weights, Workload
from codegen.lowering.layer import ENTRY, CompiledLayer, LoadedLayer, compile_layer
from devices.rpc.connection import run_within
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import Interleaved, measure_interleaved
from devices.timing.measure import measure
from fleetpose.disk.refusals import CannotWrite
from fleetpose.errors import reason
from fleetpose.interrupt import hold_interrupt

log = logging.getLogger("codegen.tuning.contest")

#: candidates in the last, interleaved run, the default among them
FINALISTS = 4
SCREENING_SAMPLES = 3
TIMEOUT_SECS = 60.0


@dataclass(eq=False)
class Trial:
    """One candidate: compiled, and loaded while it is among the best; `secs` or `failure` once it was tried."""

    choice: ScheduleChoice
    compiled: CompiledLayer | None = None
    call: TimedCall | None = None
    secs: float | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The outcome of a contest.

    Attributes:
        best: the fastest choice; the default unless another one is faster by more than noise.
        secs: the choice's median seconds by the wall clock.
        default_secs: the default's in the same run, None where it failed.
        ratio, low, high: default_secs / secs round by round: median and 95 % interval; None where the default failed.
        tried: candidates timed or failed.
        failures: (choice, reason) of each that failed.
    """

    best: ScheduleChoice
    secs: float
    default_secs: float | None
    ratio: float | None
    low: float | None
    high: float | None
    tried: int
    failures: tuple[tuple[ScheduleChoice, str], ...]


class Contest:
    """The candidates of one workload, tried one after the other; the default is to be the first.

    Args:
        session: an open device session; it is reconnected after a candidate that broke it.
        workload, weights, inputs: what to compute, and (C, H, W) operands to compute it on.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS.
    """

    def __init__(
        self, session: Session, workload: Workload, weights: Weights, inputs: Sequence[np.ndarray], host: str = "native"
    ) -> None:
        self.session, self.workload, self.weights, self.inputs, self.host = session, workload, weights, inputs, host
        self.trials: list[Trial] = []

    @cached_property
    def right(self) -> RightResult:
        """What all of them should make of the operands."""
        return RightResult(self.workload.layer, self.workload.dtype, self.inputs, self.weights)

    @hold_interrupt()
    def enter(self, choice: ScheduleChoice) -> Trial:
        """Compile, check and screen one candidate. Raises DeviceUnreachable where the device does not come back."""
        trial = Trial(choice)
        self.trials.append(trial)
        try:
            trial.compiled = compile_layer(self.workload, self.weights, self.session.profile, self.host, choice)
            trial.call = self._load(trial.compiled)
            trial.failure = self._check(trial.call, choice)
            if trial.failure is None:
                timing = measure(
                    self.session,
                    trial.call.function,
                    trial.call.args,
                    entry=trial.call.entry,
                    warmup=1,
                    repeats=SCREENING_SAMPLES,
                    timeout_secs=TIMEOUT_SECS,
                )
                trial.secs, trial.failure = (min(timing.wall_secs), None) if timing.ok else (None, brief(timing.error))
        except CannotWrite:
            raise
        except Exception as error:  # whatever a candidate does is its own failure
            trial.failure = f"{type(error).__name__}: {reason(error)}"
        self._clean_up()
        log.info("%s %s: %s", self.workload.label, choice, trial.failure or f"{1e3 * (trial.secs or 0):.3f} ms")
        return trial

    def decide(self, rounds: int, seed: int = 0) -> Verdict | None:
        """The best of those tried, by an interleaved run of the fastest; None where nothing works."""
        while len(finalists := self._finalists()) > 1:
            calls = {}
            for number, trial in enumerate(finalists):
                if call := self._ensure_loaded(trial):
                    calls[str(number)] = call
            if len(calls) < len(finalists):
                continue
            result = measure_interleaved(
                self.session, calls, rounds, warmup=1, timeout_secs=TIMEOUT_SECS, clock="wall", seed=seed
            )
            broken = {name: measurement for name, measurement in result.measurements.items() if not measurement.ok}
            if not broken:
                return self._verdict(finalists, result)
            # where one ended the session, all that came after it failed with the device
            blamed = min(broken, key=lambda name: broken[name].failure == "device")
            finalists[int(blamed)].failure = brief(broken[blamed].error)
            self._clean_up()
        return self._verdict(finalists, None) if finalists else None

    def _load(self, compiled: CompiledLayer) -> TimedCall:
        loaded = LoadedLayer(compiled, self.session)
        return TimedCall(loaded.module, loaded.arguments(self.inputs), ENTRY)

    def _ensure_loaded(self, trial: Trial) -> TimedCall | None:
        """A trial's call, loaded again where the session has changed; None, its failure kept, where that fails."""
        try:
            assert trial.compiled is not None
            trial.call = trial.call or self._load(trial.compiled)
        except CannotWrite:
            raise
        except Exception as error:
            trial.failure = f"{type(error).__name__}: {reason(error)}"
            self._clean_up()
        return trial.call

    def _check(self, call: TimedCall, choice: ScheduleChoice) -> str | None:
        """Run once, OpenCL's compiling included; what is wrong with the result, None where nothing is."""

        def run() -> np.ndarray:
            with self.session.guard("running a candidate"):
                call.function[ENTRY](*call.args)
                return call.args[-1].numpy()

        try:
            flat = run_within(run, TIMEOUT_SECS, "running it")
        except TimeoutError as error:
            self.session.abort(f"{error}; the session was cut to stop what ran")
            return str(error)
        return self.right.fault(self.workload.output.unpack(flat), choice)

    def _clean_up(self) -> None:
        """Free what is no longer among the best; reconnect where the session is lost, which voids all loaded code."""
        kept = self._finalists()
        for trial in self.trials:
            if trial not in kept or not self.session.alive():
                trial.call = None
        if not self.session.alive():
            self.session.reconnect()

    def _finalists(self) -> list[Trial]:
        """The trials that work: the default, then the fastest others."""
        working = [trial for trial in self.trials if trial.failure is None and trial.secs is not None]
        default = working[:1] if working and working[0] is self.trials[0] else []
        others = sorted((trial for trial in working if trial not in default), key=lambda trial: trial.secs or 0.0)
        return [*default, *others][:FINALISTS]

    def _verdict(self, finalists: list[Trial], result: Interleaved | None) -> Verdict:
        default_works = finalists[0] is self.trials[0]
        best, ratio, low, high = "0", 1.0, 1.0, 1.0
        secs: dict[str, float | None] = {"0": finalists[0].secs}
        if result is not None:
            secs = {name: measurement.wall_median_secs for name, measurement in result.measurements.items()}
            for name, interval in result.ratios.items():
                if interval.low > 1 and interval.median > ratio:
                    best, ratio, low, high = name, interval.median, interval.low, interval.high
        failures = tuple((trial.choice, trial.failure) for trial in self.trials if trial.failure is not None)
        chosen = secs[best]
        assert chosen is not None
        verdict = Verdict(finalists[int(best)].choice, chosen, secs["0"], ratio, low, high, len(self.trials), failures)
        return verdict if default_works else replace(verdict, default_secs=None, ratio=None, low=None, high=None)


def brief(error: str | None) -> str:
    """A measurement's error in a few lines, as it is kept in tuned data and records."""
    return "\n".join((error or "no reason is known").splitlines()[:4])
