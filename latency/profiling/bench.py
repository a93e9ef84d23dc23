"""The variants of one layer against each other on a device, in one interleaved run, each first checked.

A variant that gives wrong results, fails or hangs is an outcome with its reason. One that ends the device's session is
tried once more over a new connection, then given up; a device that does not come back is DeviceUnreachable.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen.lowering.layer import ENTRY, LoadedLayer
from codegen.tuning.contest import brief
from devices.rpc.connection import run_within
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.measure import GRACE_SECS
from devices.timing.measurement import Measurement
from fleetpose.disk.refusals import CannotWrite
from fleetpose.errors import DeviceUnreachable, reason
from fleetpose.progress import Report, no_report
from latency.profiling.interleaved_run import Broken, InterleavedRuns, RunSettings, RunTimes, roughness
from latency.profiling.prepare import Prepared
from latency.profiling.reference_kernel import Pace
from latency.profiling.space import Group
from latency.records.record import Failure, RatioToDense
from models.plans.sparsity import variant_text

log = logging.getLogger("latency.profiling.bench")

#: sessions that a variant may end before it is given up
STRIKES = 2
#: sessions that may end in all while one run is timed, before the device is to blame
MOST_STRIKES = 20


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one variant: a measurement, perhaps with a ratio to dense, or a failure.

    `to_reference`: see `latency.records.record.Record`.
    """

    prepared: Prepared
    measurement: Measurement | None = None
    ratio: RatioToDense | None = None
    failure: Failure | None = None
    to_reference: float | None = None


class LayerBench:
    """A device with its reference kernel, ready to time layers.

    Args:
        session: an open device session; reconnected after a variant that broke it.
        report: told what is waited for.
        stop: once set, a session that ends is not made anew.
    """

    def __init__(
        self,
        session: Session,
        settings: RunSettings,
        report: Report = no_report,
        stop: threading.Event | None = None,
    ) -> None:
        self.session, self.settings, self.stop = session, settings, stop or threading.Event()
        self.rounds = InterleavedRuns(session, settings, report, self.stop)

    def time(self, group: Group, prepared: Sequence[Prepared]) -> tuple[list[Outcome], Pace]:
        """The outcome of each variant, in order, and the device's pace during the run.

        Raises DeviceUnreachable where the device does not come back.
        """
        failures = {number: variant.failure for number, variant in enumerate(prepared) if variant.failure is not None}
        strikes: Counter[int | None] = Counter()
        while True:
            try:
                return self._attempt(group, prepared, failures, alone=strikes[None] >= STRIKES)
            except Broken as broken:
                log.info("%s: %s", group.workload.label, broken)
                if self.stop.is_set() or strikes.total() > MOST_STRIKES:
                    raise DeviceUnreachable(f"device {self.session.spec!r}: {broken}") from broken
                self.session.reconnect()
                self.rounds.forget()
                strikes[broken.number] += 1
                final = broken.failure.kind == "timeout" or strikes[broken.number] >= STRIKES
                if broken.number is not None and final:
                    failures[broken.number] = broken.failure

    def _attempt(
        self, group: Group, prepared: Sequence[Prepared], failures: dict[int, Failure], alone: bool
    ) -> tuple[list[Outcome], Pace]:
        calls = {}
        for number, variant in enumerate(prepared):
            if number not in failures:
                call, failure = self._load(group, number, variant)
                calls.update({} if failure is not None or call is None else {number: call})
                failures.update({number: failure} if failure is not None else {})
        if not calls:
            return [Outcome(variant, failure=failures[number]) for number, variant in enumerate(prepared)], Pace()
        run = self._steady_run(calls, alone)
        outcomes = [
            replace(
                self._outcome(variant, failures.get(number), run.measurements.get(number), run.ratios.get(number)),
                to_reference=run.to_reference.get(number),
            )
            for number, variant in enumerate(prepared)
        ]
        return outcomes, run.pace

    def _steady_run(self, calls: dict[int, TimedCall], alone: bool) -> RunTimes:
        """The first run in which no variant is too unsteady to be of use; the last where none is steady. Raises Broken.

        What disturbs a device is often over soon, and what is loaded need not be loaded again. A run during which the
        device held itself back is done once more where it has cooled down since.
        """
        run = self._first_steady(calls, alone)
        if run.pace.condition.throttled and not self.stop.is_set() and self.rounds.cool_down():
            log.info("the device held itself back and has cooled down: once more")
            return self._first_steady(calls, alone)
        return run

    def _first_steady(self, calls: dict[int, TimedCall], alone: bool) -> RunTimes:
        patience = self.settings.patience
        for _ in range(patience.repeats):
            run = self.rounds.run(calls, alone)
            if self.stop.is_set() or not any(
                roughness(timing) > patience.useless for timing in run.measurements.values()
            ):
                return run
        return self.rounds.run(calls, alone)

    def _load(self, group: Group, number: int, variant: Prepared) -> tuple[TimedCall | None, Failure | None]:
        """A variant on the device, run once; or what is wrong with it. Raises Broken."""
        if not self.session.runs_kernels:
            layer, sparsity = group.workload.layer, variant.sparsity
            macs = layer.macs if sparsity is None else sparsity.kept_macs(layer)
            moved = 4.0 * sum(int(np.prod(shape)) for shape in (*layer.in_shapes, layer.out_shape))
            key = group.identity(sparsity, {})
            return TimedCall(self.session.kernel(key, macs, moved)), None

        def first_run() -> tuple[TimedCall, np.ndarray]:
            assert variant.compiled is not None
            limit_secs = self.settings.timeout_secs + GRACE_SECS
            with self.session.guard(f"running {variant_text(variant.sparsity)}", limit_secs):
                loaded = LoadedLayer(variant.compiled, self.session)
                call = TimedCall(loaded.module, loaded.arguments(variant.inputs), ENTRY)
                call.function[ENTRY](*call.args)
                return call, variant.compiled.workload.output.unpack(call.args[-1].numpy())

        try:
            call, result = run_within(first_run, self.settings.timeout_secs, "its first run")
        except TimeoutError as error:
            self.session.abort(f"{error}; the session was cut to stop what ran")
            raise Broken(number, Failure("timeout", str(error))) from error
        except DeviceUnreachable as error:
            raise Broken(number, Failure("device", reason(error))) from error
        except CannotWrite:
            raise
        except Exception as error:  # whatever it is, it is this variant's result
            if not self.session.alive():
                raise Broken(number, Failure("device", reason(error))) from error
            return None, Failure("error", f"{type(error).__name__}: {reason(error)}")
        wrong = variant.bounds.fault(result) if variant.bounds is not None else None
        return (call, None) if wrong is None else (None, Failure("wrong", wrong))

    def _outcome(
        self, prepared: Prepared, failure: Failure | None, measured: Measurement | None, ratio: RatioToDense | None
    ) -> Outcome:
        if failure is None and measured is not None and not measured.ok:
            failure = Failure(measured.failure or "error", brief(measured.error))
        if failure is None and measured is not None and (rough := roughness(measured)) > self.settings.patience.useless:
            failure = Failure("noise", f"its samples scatter by {rough:.2f} of their median")
        if failure is not None:
            return Outcome(prepared, measured, failure=failure)
        return Outcome(prepared, measured, ratio)
