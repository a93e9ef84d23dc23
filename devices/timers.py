"""How one sample of a running time is taken: from a compiled module over RPC, or a Python callable.

A sample is the mean over `number` runs in a row, on two clocks:
- event seconds: OpenCL's own profiling events, kernel time only;
- wall seconds: from the first launch to the end of the last run, on the machine that launches. Over RPC that is the
  device's own clock (the network is not in it); for a Python callable it is this process's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from fleetpose.codec import decode, parse_json
from fleetpose.codec.text import ANSWER
from fleetpose.json_fields import NotNegative


class TimeSample(NamedTuple):
    """Seconds of one run; None on a clock that is not there."""

    event_secs: float | None
    wall_secs: float | None


@dataclass(frozen=True)
class TimedCall:
    """Something to time.

    Attributes:
        function: a remote module or virtual machine (anything with TVM's `time_evaluator`), a Python callable, or a
            NullKernel.
        args: its arguments; remote tensors for a remote module.
        entry: the function of a module.
    """

    function: Any
    args: Sequence[Any] = field(default=())
    entry: str = "main"


class Timer(Protocol):
    """Takes samples of one TimedCall."""

    name: str

    def warm(self, runs: int) -> None:
        """Run without timing, to the end."""

    def samples(self, number: int, repeats: int) -> list[TimeSample]:
        """`repeats` samples, each the mean over `number` runs."""


@dataclass(frozen=True)
class _Stop:
    """What the device says of one sample."""

    event_secs: NotNegative
    wall_secs: NotNegative
    kernels: int = 0


class ModuleTimer:
    """A compiled function, timed on the device by TVM's `time_evaluator`.

    With our backend's event timer (`both` answers its samples as JSON) the device reports both clocks. Any other server
    gives TVM's one number, which is a wall time of the device unless its own runtime has an event timer: it is
    stored as wall seconds.
    """

    def __init__(self, call: TimedCall, device: Any, both: Callable[[], str] | None) -> None:
        self.call, self.device, self.both = call, device, both
        self.name = "opencl events and wall" if self.both else "tvm timer"

    def warm(self, runs: int) -> None:
        for _ in range(runs):
            self.call.function[self.call.entry](*self.call.args)
        self.device.sync()

    def samples(self, number: int, repeats: int) -> list[TimeSample]:
        evaluate = self.call.function.time_evaluator(self.call.entry, self.device, number=number, repeat=repeats)
        if self.both is None:
            return [TimeSample(None, secs) for secs in evaluate(*self.call.args).results]
        self.both()  # forget what was timed before
        evaluate(*self.call.args)
        answer = parse_json(self.both(), ANSWER, "the device's answer")
        stops = decode(list[_Stop], answer, "the device's answer")
        if len(stops) != repeats:
            raise RuntimeError(f"the device reports {len(stops)} samples for {repeats} repeats")
        return [TimeSample(stop.event_secs / number, stop.wall_secs / number) for stop in stops]


class PythonTimer:
    """A callable of this process, on this process's clock; it must return only when its work is done."""

    name = "python clock"

    def __init__(self, call: TimedCall) -> None:
        self.call = call

    def warm(self, runs: int) -> None:
        for _ in range(runs):
            self.call.function(*self.call.args)

    def samples(self, number: int, repeats: int) -> list[TimeSample]:
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            for _ in range(number):
                self.call.function(*self.call.args)
            taken.append(TimeSample(None, (time.perf_counter() - start) / number))
        return taken
