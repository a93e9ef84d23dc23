"""The reference kernel: a small kernel timed again and again says whether the device still runs as fast as it did.

A phone that has grown hot, or a machine with something else to do, is waited for (by what it says of itself, see
`latency.profiling.settling`, and by the kernel's time); where waiting does not help, the work goes on, and every record
says how slow the device was. Ratios come from interleaved runs and do not depend on it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from codegen.lowering.layer import ENTRY, LoadedLayer, compile_layer, random_operands, standalone_planes
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.cooling import CoolingSettings
from devices.timing.measure import measure
from devices.timing.measurement import Measurement, faster_half
from fleetpose.errors import DeviceUnreachable
from fleetpose.progress import Report, no_report
from latency.profiling.settling import BURST_SECS, Condition, Settling
from models.graph.layer import Layer, Step

log = logging.getLogger("latency.profiling.reference_kernel")

REFERENCE = Layer(
    "reference", "conv", ("x",), ((64, 46, 46),), (64, 46, 46), (3, 3), padding=(1, 1), bias=True,
    epilogue=(Step("relu"),),
)  # fmt: skip
#: one look at the reference kernel; the least of its samples counts, so that others' short bursts of work do not
SAMPLES, SAMPLE_SECS = 24, 0.004
FIRST_PAUSE_SECS = 0.5
#: of the reference kernel among what is timed in turn
REFERENCE_NAME = "reference"


@dataclass(frozen=True)
class Patience:
    """What is done about a device that is slow or unsteady.

    Attributes:
        threshold: a reference kernel slower than this many times its best so far is waited for.
        wait_secs: at most, each time.
        precision: relative standard error of a median ratio beyond which more rounds are taken, `extend` times as many
            at most.
        useless: interquartile range / median above which a variant is a failure of kind "noise".
        repeats: runs at most that are begun anew because a variant was that unsteady in them.
        cooling: when a device is too hot, and how long it is waited for besides.
    """

    threshold: float = 1.25
    wait_secs: float = 20.0
    precision: float = 0.02
    extend: int = 4
    useless: float = 1.0
    repeats: int = 2
    cooling: CoolingSettings = field(default_factory=CoolingSettings)


@dataclass(frozen=True)
class Pace:
    """How fast a device was during a run, by its reference kernel; None where there was none.

    Attributes:
        drift: see `latency.records.record.Record`.
        reference_ms: milliseconds of the reference kernel in the run, of its faster half.
        condition: what else the device says of the run.
    """

    drift: float | None = None
    reference_ms: float | None = None
    condition: Condition = field(default_factory=Condition)


class ReferenceKernel:
    """The reference kernel in one session, and what it has taken so far.

    Args:
        session: an open device session, not the null device's.
        patience: see Patience.
        report: told what is waited for.
        stop: once set, nothing is waited for.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS.
    """

    def __init__(
        self,
        session: Session,
        patience: Patience,
        report: Report = no_report,
        stop: threading.Event | None = None,
        host: str = "native",
    ) -> None:
        self.session, self.patience, self.report, self.stop = session, patience, report, stop or threading.Event()
        lanes = session.profile.lanes_of("float32")
        workload = standalone_planes(REFERENCE, lanes)
        inputs, weights = random_operands(REFERENCE, 0)
        self._compiled, self._inputs = compile_layer(workload, weights, session.profile, host), inputs
        self._call: TimedCall | None = None
        self.settling = Settling(session, patience.cooling, self._burst, report, self.stop)
        self.best_secs: float | None = None
        self._accepted = 1.0

    def forget(self) -> None:
        """Load the kernel anew before it is timed next: the session's connection has changed."""
        self._call = None

    def call(self) -> TimedCall:
        """The kernel, to be timed among others; what it took goes to `drift_of`. Raises DeviceUnreachable."""
        if self._call is None:
            loaded = LoadedLayer(self._compiled, self.session)
            self._call = TimedCall(loaded.module, loaded.arguments(self._inputs), ENTRY)
        return self._call

    def drift_of(self, timing: Measurement) -> float:
        """The kernel's time in a measurement / its best so far. Raises DeviceUnreachable where it failed."""
        if not timing.ok:
            raise DeviceUnreachable(f"the reference kernel fails: {timing.error}")
        secs = min(timing.wall_secs)
        self.best_secs = min(secs, self.best_secs or secs)
        return secs / self.best_secs

    def pace_of(self, timing: Measurement) -> Pace:
        """The pace that a measurement of the kernel says. Raises DeviceUnreachable where it failed."""
        drift, secs = self.drift_of(timing), faster_half(timing.wall_secs)
        return Pace(drift, None if secs is None else 1e3 * secs, self.settling.condition(timing))

    def drift(self) -> float:
        """The kernel's time now / its best so far. Raises DeviceUnreachable."""
        return self.drift_of(self._measure(SAMPLES, SAMPLE_SECS))

    def _burst(self) -> Measurement:
        return self._measure(1, BURST_SECS)

    def _measure(self, samples: int, sample_secs: float) -> Measurement:
        call = self.call()
        return measure(
            self.session, call.function, call.args, entry=ENTRY, warmup=1, repeats=samples, min_repeat_secs=sample_secs
        )

    def settle(self) -> float:
        """Wait until the device is cool and runs about as fast as it did, or patience is over; the drift that is left.

        A level that waiting did not change is accepted, until the device is faster again.
        """
        self.settling.settle()
        pause, waited, drift = FIRST_PAUSE_SECS, 0.0, self.drift()
        while drift > self.patience.threshold * self._accepted and waited < self.patience.wait_secs:
            self.report(f"the device is {drift:.2f} times as slow as before; waiting")
            if self.stop.wait(pause):
                break
            waited += pause
            pause, drift = min(2 * pause, self.patience.wait_secs - waited + 1e-3), self.drift()
        if waited and drift > self.patience.threshold * self._accepted:
            log.warning("the device stays %.2f times as slow as it was; going on, each record says so", drift)
        self._accepted = max(1.0, drift) if waited else max(1.0, min(self._accepted, drift))
        return drift


def to_reference(timing: Measurement, reference: Measurement) -> float | None:
    """A kernel's wall time / the reference kernel's in the same run, each of its faster half; None of a failure."""
    own, other = faster_half(timing.wall_secs), faster_half(reference.wall_secs)
    return own / other if own and other and timing.ok and reference.ok else None
