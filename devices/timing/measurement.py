"""What a timing is: samples and the conditions they were taken under, or the reason why there are none."""

from __future__ import annotations

import functools
import importlib.metadata
import math
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from fleetpose.errors import UsageError

#: interquartile range of a normal distribution / its standard deviation
IQR_OF_NORMAL = 1.349
FAILURES = ("error", "timeout", "device", "nan")


@dataclass(frozen=True)
class Measurement:
    """One timing of one thing, or its failure: exactly one of `wall_secs` and `error` is there.

    Attributes:
        event_secs: seconds of one run by OpenCL events (kernel time only), a mean over `number` runs per sample; empty
            where the device has no such clock.
        wall_secs: seconds of one run by the launching machine's clock, as many samples.
        number: runs per sample.
        warmup: untimed runs before.
        timer: which clocks: "opencl events and wall", "tvm timer", "python clock" or "null".
        device: `DeviceInfo` as a dict (driver and versions among it), with "spec" and "profile".
        before, after: `devices.conditions` of the device's machine on either side; {} where not readable.
        versions: of what measured.
        failure: None, or "error" (an exception), "timeout", "device" (it went away), "nan" (a sample that is no time).
        error: None, or the reason in words.
    """

    event_secs: tuple[float, ...] = ()
    wall_secs: tuple[float, ...] = ()
    number: int = 0
    warmup: int = 0
    timer: str = ""
    device: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None
    error: str | None = None

    json_properties: ClassVar = ("event_median_secs", "event_iqr_secs", "wall_median_secs", "wall_iqr_secs")

    def __post_init__(self) -> None:
        if self.ok != bool(self.wall_secs) or self.ok != (self.failure is None):
            raise UsageError("a measurement holds either wall_secs, or failure and error")

    @property
    def ok(self) -> bool:
        """Whether there are times."""
        return self.error is None

    @property
    def event_median_secs(self) -> float | None:
        """Median kernel seconds of one run."""
        return median(self.event_secs)

    @property
    def wall_median_secs(self) -> float | None:
        """Median wall seconds of one run."""
        return median(self.wall_secs)

    @property
    def event_iqr_secs(self) -> float | None:
        """Distance between the quartiles of the event samples."""
        return interquartile_range(self.event_secs)

    @property
    def wall_iqr_secs(self) -> float | None:
        """Distance between the quartiles of the wall samples."""
        return interquartile_range(self.wall_secs)


def merge_samples(parts: Sequence[Measurement]) -> Measurement:
    """One measurement with the samples of several of the same call, none of them a failure."""
    return replace(
        parts[0],
        event_secs=tuple(secs for part in parts for secs in part.event_secs),
        wall_secs=tuple(secs for part in parts for secs in part.wall_secs),
        after=parts[-1].after,
    )


def faster_half(samples: Sequence[float]) -> float | None:
    """Mean of the faster half (rounded up), None of nothing.

    Other work on a device only ever delays, so that fast samples repeat better from run to run than a median.
    """
    kept = sorted(samples)[: (len(samples) + 1) // 2]
    return statistics.fmean(kept) if kept else None


def median_error(samples: Sequence[float]) -> float:
    """Standard error of the median / the median; see `error_of_median`."""
    middle, spread = median(samples), interquartile_range(samples)
    return math.inf if middle is None or spread is None else error_of_median(middle, spread, len(samples))


def error_of_median(middle: float, spread: float, count: int) -> float:
    """Standard error of a median / the median, of samples that scatter normally; infinite of fewer than two.

    Args:
        middle: the median. spread: the interquartile range. count: how many samples.
    """
    if count < 2 or not middle:
        return math.inf
    return math.sqrt(math.pi / 2) * spread / (IQR_OF_NORMAL * middle * math.sqrt(count))


def median(samples: Sequence[float]) -> float | None:
    """Median, None of nothing."""
    return statistics.median(samples) if samples else None


def interquartile_range(samples: Sequence[float]) -> float | None:
    """Third quartile minus first (inclusive method); 0 of one sample, None of nothing."""
    if not samples:
        return None
    if len(samples) == 1:
        return 0.0
    first, _, third = statistics.quantiles(samples, n=4, method="inclusive")
    return third - first


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, this project and TVM, without importing any of them."""
    numbers = {"python": platform.python_version()}
    for name in ("fleetpose", "apache-tvm", "apache-tvm-ffi"):
        try:
            numbers[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            numbers[name] = "not installed"
    return numbers
