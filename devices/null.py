"""The null device: pseudo times, the same on every machine, so that what stands on measuring can be tested.

It runs nothing and says so: its name is "null", it loads no module, and its measurements carry `device.kind == "null"`.
A time is (MACs / rate + bytes / bandwidth + overhead) x a factor in [0.9, 1.1) derived from the workload's key, so that
ratios between workloads are plausible and no two workloads tie.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from devices.info import LIBRARY, DeviceInfo
from devices.profile import Profile
from devices.timers import TimedCall, TimeSample
from fleetpose.errors import UsageError

NULL = "null"
MACS_PER_SEC = 1e11
BYTES_PER_SEC = 2e10
OVERHEAD_SECS = 5e-6
WALL_EXTRA_SECS = 2e-5
SPREAD = 0.1  # of the key's factor, either way
NOISE = 0.01  # of one sample, either way


@dataclass(frozen=True)
class NullKernel:
    """A workload as the null device knows it.

    Attributes:
        key: its name; the same key always takes the same pseudo time.
        macs: multiply-adds.
        moved_bytes: bytes read and written.
        fails: where set, "running" it fails with this reason.
    """

    key: str
    macs: float = 0.0
    moved_bytes: float = 0.0
    fails: str | None = None

    def event_secs(self) -> float:
        """Pseudo time of one run, in seconds."""
        digest = hashlib.sha256(self.key.encode()).digest()
        factor = 1 + SPREAD * (int.from_bytes(digest[:8], "big") / 2**63 - 1)
        return factor * (self.macs / MACS_PER_SEC + self.moved_bytes / BYTES_PER_SEC + OVERHEAD_SECS)

    def samples(self, count: int, start: int = 0) -> list[tuple[float, float]]:
        """Pairs `start` .. `start + count` of an endless list of pseudo (event, wall) seconds, scattered by 1 %."""
        scatter = [random.Random(f"{self.key} {turn}").uniform(-1, 1) for turn in range(start, start + count)]
        events = [self.event_secs() * (1 + NOISE * share) for share in scatter]
        return [(event, event + WALL_EXTRA_SECS) for event in events]


class NullTimer:
    """The pseudo times of one NullKernel."""

    name = NULL

    def __init__(self, kernel: NullKernel) -> None:
        self.kernel = kernel
        self.taken = 0

    def warm(self, runs: int) -> None:
        if self.kernel.fails:
            raise RuntimeError(self.kernel.fails)

    def samples(self, number: int, repeats: int) -> list[TimeSample]:
        self.warm(1)
        self.taken += repeats
        return [TimeSample(*pair) for pair in self.kernel.samples(repeats, self.taken - repeats)]


class NullSession:
    """A Session that runs nothing: what would need a device is refused; `devices.timing.measure` takes a NullKernel."""

    def __init__(self, profile: Profile) -> None:
        self.spec = NULL
        self.profile = profile
        self.info = DeviceInfo(name=NULL, driver=NULL, kind=NULL)
        self.runs_kernels = False
        self.on_this_machine = True
        self.loads = LIBRARY

    @property
    def remote(self) -> Any:
        """Refused: UsageError."""
        raise UsageError("the null device has no remote: it runs nothing; use --device host")

    @property
    def device(self) -> Any:
        """Refused: UsageError."""
        raise UsageError("the null device has no device: it runs nothing; use --device host")

    def load(self, path: Path | str) -> Any:
        """Refused: UsageError."""
        raise UsageError(f"the null device cannot load {path}: it runs nothing; use --device host")

    def kernel(self, key: str, macs: float = 0.0, moved_bytes: float = 0.0) -> NullKernel:
        """What `load` would give on a device: something to measure."""
        return NullKernel(key, macs, moved_bytes)

    def timer(self, call: TimedCall) -> NullTimer:
        """Pseudo times; UsageError for anything but a NullKernel."""
        if not isinstance(call.function, NullKernel):
            raise UsageError(f"the null device times NullKernel only, not {type(call.function).__name__}")
        return NullTimer(call.function)

    def function(self, name: str) -> Any:
        """None: the null device has no functions."""
        return None

    def ask(self, name: str, *arguments: Any) -> Any:
        """None: there is nobody to ask."""
        return None

    def alive(self) -> bool:
        """Always."""
        return True

    def reconnect(self) -> None:
        """Nothing to do."""

    def abort(self, why: str) -> None:
        """Nothing to do."""

    def guard(self, doing: str, secs: float | None = None) -> contextlib.AbstractContextManager[None]:
        """Nothing to do: no connection is lost."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Nothing to do."""

    def __enter__(self) -> NullSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
