"""An interleaved run: loaded variants of a layer timed in turn on one device, the reference kernel among them.

What fails inside is a Measurement with its reason; only the end of the session stops a run (Broken), since it voids
everything that was loaded. `latency.profiling.bench` loads the variants and decides what to do then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from codegen.tuning.contest import brief
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import Ratio, measure_interleaved
from devices.timing.measure import measure
from devices.timing.measurement import Measurement
from fleetpose.errors import DeviceUnreachable, reason
from fleetpose.progress import Report
from latency.profiling.reference_kernel import REFERENCE_NAME, Pace, Patience, ReferenceKernel, to_reference
from latency.records.record import Failure, RatioToDense

Value = TypeVar("Value")


@dataclass(frozen=True)
class RunSettings:
    """How a run is timed.

    Attributes:
        rounds: samples of each variant; more where these scatter (`Patience.precision`).
        sample_secs: a sample has as many runs as last this long.
        timeout_secs: for each step, the first run with its compiling on the device among them.
        seed: of the bootstrap.
        patience: see Patience.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS; the reference kernel is for
            it.
        sustained: minutes that a whole network runs on once it was timed; None: not at all.
    """

    rounds: int = 15
    sample_secs: float = 0.003
    timeout_secs: float = 60.0
    seed: int = 0
    patience: Patience = field(default_factory=Patience)
    host: str = "native"
    sustained: float | None = None

    @property
    def network_timeout_secs(self) -> float:
        """For each step where whole networks are timed."""
        return 10 * self.timeout_secs


class Broken(Exception):
    """The session is over; `number` is the variant that is to blame, None where that is not known."""

    def __init__(self, number: int | None, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.number, self.failure = number, failure


class RunTimes(NamedTuple):
    """One run over the variants of a layer, by their numbers; 0 is the dense one."""

    measurements: dict[int, Measurement]
    ratios: dict[int, RatioToDense]
    pace: Pace
    to_reference: dict[int, float | None]


class InterleavedRuns:
    """Runs in one session, with a reference kernel where the device runs anything.

    Args:
        session: open; whoever reconnects it calls `forget`.
        report: told what is waited for.
        stop: once set, nothing is waited for.
    """

    def __init__(self, session: Session, settings: RunSettings, report: Report, stop: threading.Event) -> None:
        self.session, self.settings = session, settings
        self.reference: ReferenceKernel | None = None
        if session.runs_kernels:
            self.reference = ReferenceKernel(session, settings.patience, report, stop, settings.host)

    def forget(self) -> None:
        """The session's connection is a new one."""
        if self.reference is not None:
            self.reference.forget()

    def cool_down(self) -> bool:
        """Wait for a device that holds itself back; whether it does not any more. Settings may forbid waiting."""
        return self.reference is not None and self.reference.settling.cooler.wait()

    def run(self, calls: Mapping[int, TimedCall], alone: bool = False) -> RunTimes:
        """Times of all calls, ratios to call 0 where it is there. `alone`: one after the other, to see which breaks.

        Raises Broken where the session ended.
        """
        drift = None if self.reference is None else self._surviving(self.reference.settle)
        if alone or (len(calls) < 2 and self.reference is None):
            return RunTimes({number: self._alone(number, call) for number, call in calls.items()}, {}, Pace(drift), {})
        named = {str(number): call for number, call in calls.items()}
        if self.reference is not None:
            named[REFERENCE_NAME] = self._surviving(self.reference.call)
        settings = self.settings
        result = measure_interleaved(
            self.session, named, settings.rounds, warmup=1, min_repeat_secs=settings.sample_secs,
            timeout_secs=settings.timeout_secs, clock="wall", seed=settings.seed,
            most_rounds=settings.rounds * settings.patience.extend, precision=settings.patience.precision,
        )  # fmt: skip
        measurements = {int(name): timing for name, timing in result.measurements.items() if name != REFERENCE_NAME}
        self._check_alive(measurements, None)
        pace, relative = Pace(drift), {}
        if self.reference is not None:
            reference = result.measurements[REFERENCE_NAME]
            pace = self.reference.pace_of(reference)
            relative = {number: to_reference(timing, reference) for number, timing in measurements.items()}
        ratios = result.ratios if result.reference == "0" else {}
        to_dense = {int(name): ratio_to_dense(timing) for name, timing in ratios.items() if name.isdigit()}
        return RunTimes(measurements, to_dense, pace, relative)

    def _alone(self, number: int, call: TimedCall) -> Measurement:
        settings = self.settings
        measurement = measure(
            self.session, call.function, call.args, entry=call.entry, repeats=settings.rounds, warmup=1,
            min_repeat_secs=settings.sample_secs, timeout_secs=settings.timeout_secs,
        )  # fmt: skip
        self._check_alive({number: measurement}, number)
        return measurement

    def _check_alive(self, measurements: Mapping[int, Measurement], blamed: int | None) -> None:
        if self.session.alive():
            return
        for number, measurement in measurements.items():
            if measurement.failure == "timeout":
                raise Broken(number, Failure("timeout", brief(measurement.error)))
        why = next(
            (measurement.error for measurement in measurements.values() if not measurement.ok), "the session ended"
        )
        raise Broken(blamed, Failure("device", brief(why)))

    def _surviving(self, work: Callable[[], Value]) -> Value:
        """`work()` with the reference kernel; a session that ends at it is Broken, with nobody to blame."""
        try:
            return work()
        except DeviceUnreachable as error:
            if self.session.alive():
                raise
            raise Broken(None, Failure("device", reason(error))) from error


def roughness(measured: Measurement) -> float:
    """Interquartile range / median of the wall samples; 0 of a failure."""
    return (measured.wall_iqr_secs or 0.0) / measured.wall_median_secs if measured.wall_median_secs else 0.0


def ratio_to_dense(ratio: Ratio) -> RatioToDense:
    """devices.timing.interleaved says how many times as fast as the reference; records say the share of its time."""
    return RatioToDense(1 / ratio.median, 1 / ratio.high, 1 / ratio.low)
