"""Record: what was measured of one layer or network on a device, or why it failed.

A frozen value that is a JSON object and back; it refuses to be made with a time that is none. This module knows neither
files, nor TVM, nor sessions: `latency.records.read` reads and writes files of records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetpose.json_fields import in_json
from latency.records.identity import layer_from_dict, layer_to_dict
from models.graph.layer import Layer
from models.graph.network import Widened
from models.plans.sparsity import DENSE, Sparsity, parse_variant

FORMAT = "fleetpose.record/1"
KINDS = ("layer", "network")
#: kinds of failures: it does not compile; running it raised; it did not end; it ended the device's session more than
#: once; a time that is none; another result than the dense kernel's; the device was too unsteady to time it
FAILURES = ("compile", "error", "timeout", "device", "nan", "wrong", "noise")
TIMES = ("event_ms", "wall_ms")
#: among the conditions of a record: why its times are not the device's usual ones
MARKS = "marks"
SPREADS = ("event_iqr_ms", "wall_iqr_ms")


@dataclass(frozen=True)
class Failure:
    """Why there is no time: one of FAILURES, and the reason in words."""

    kind: str
    reason: str


@dataclass(frozen=True)
class RatioToDense:
    """This variant's milliseconds / those of the best dense kernel in the same interleaved run; below 1: faster.

    `median` over the rounds; `low` and `high` are its 95 % interval.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Record:
    """One measurement. Of kind "layer": one variant of one layer; of kind "network": a whole network.

    Attributes:
        id: hash of what was measured and on which device: `latency.records.identity`.
        kind: "layer" or "network".
        layer: the fused layer, its names blank; None for a network.
        pitches: elements from row to row in the planes of its inputs, then of its output; () for a network.
        sparsity: "dense", or the text of a Sparsity; of a network "dense" too, its plan says more.
        dtype: element type of activations and weights on the device.
        widened: of a layer, what of its arithmetic is float32 although `dtype` is float16: "sums", or "products" too.
        schedule: `ScheduleChoice.to_dict` of what ran: {"schedule": "columns", "filters": 8, ...};
            {} where none was chosen, and for a network.
        grids: OpenCL kernels launched in one run.
        networks: of a layer, the networks that have it ("resnet50_3"); () for a sample from the space around them.
        group: what was timed in one interleaved run bears the same group: the variants of one layer.
        ratio_to_dense: see RatioToDense; None for the dense variant, and where one of the two failed.
        event_ms: kernel milliseconds of one run, the median; None where it failed or the device has no such clock.
        wall_ms: milliseconds of one run by the launching machine's clock, the median; None where it failed.
        event_iqr_ms, wall_iqr_ms: distance between the quartiles of the samples.
        samples: how many there were; 0 where it failed.
        failure: None, or why there is no time.
        device: of the device, `DeviceInfo.to_dict` with "spec" and "profile".
        versions: of Python, this project and TVM.
        conditions: clocks, temperatures and load of the device's machine before the run, as far as readable;
            "gpu_clock_busy_mhz", the GPU's clock right after it; "marks", values of `devices.timing.throttling.Mark`,
            where the device was throttled, slow or busy with other work.
        drift: time of a reference kernel around the run / at the start; 1 is steady, 1.2 a device 20 % slower. None
            where there was no reference.
        reference_ms: milliseconds of the reference kernel within the run, by wall_ms's clock, the mean of the faster
            half of its samples. None where it was not among the variants.
        to_reference: wall time / the reference kernel's in the same run: what is left when the device's pace is taken
            out. Of a layer, each of the faster half; of a network, the median over rounds. None with reference_ms.
        sustained: of a network that ran on for minutes, what `devices.timing.sustained.sustain` says; {}: it did not.
        date: ISO 8601, UTC.
        network: the network's name; "" for a layer.
        size: the network's input, (height, width); None for a layer.
        plan: variants of a network's layers that are not dense, by layer name; {} is the dense network.
    """

    id: str
    kind: str
    dtype: str
    layer: Layer | None = field(
        default=None,
        metadata=in_json(
            encode=lambda layer: None if layer is None else layer_to_dict(layer),
            decode=lambda values: None if values is None else layer_from_dict(values),
        ),
    )
    pitches: tuple[int, ...] = ()
    sparsity: str = DENSE
    widened: Widened = field(default="", metadata=in_json(omit=True))
    schedule: Mapping[str, Any] = field(default_factory=dict)
    grids: int = 0
    networks: tuple[str, ...] = ()
    group: str = ""
    ratio_to_dense: RatioToDense | None = None
    event_ms: float | None = None
    wall_ms: float | None = None
    event_iqr_ms: float | None = None
    wall_iqr_ms: float | None = None
    samples: int = 0
    failure: Failure | None = None
    device: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    drift: float | None = None
    reference_ms: float | None = None
    to_reference: float | None = None
    sustained: Mapping[str, Any] = field(default_factory=dict, metadata=in_json(omit=True))
    date: str = ""
    network: str = ""
    size: tuple[int, int] | None = None
    plan: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def ok(self) -> bool:
        """Whether there is a time."""
        return self.failure is None

    @property
    def marks(self) -> tuple[str, ...]:
        """Why its times are not the device's usual ones; () where nothing says so."""
        marks = self.conditions.get(MARKS)
        return tuple(map(str, marks)) if isinstance(marks, list | tuple) else ()

    @property
    def variant(self) -> Sparsity | None:
        """The sparsity as a value; None is dense."""
        return parse_variant(self.sparsity)


def _check(record: Record) -> None:
    """Raise ValueError unless the record makes sense: above all, that every time is one."""
    if record.kind not in KINDS:
        raise ValueError(f"its kind is {record.kind!r}, not one of {', '.join(KINDS)}")
    if (record.layer is None) != (record.kind == "network") or bool(record.network) != (record.kind == "network"):
        raise ValueError(f"a record of kind {record.kind!r} has {'no layer' if record.layer is None else 'a layer'}")
    for name in (*TIMES, "drift", "reference_ms", "to_reference"):
        _check_number(name, getattr(record, name), zero=False)
    for name in SPREADS:
        _check_number(name, getattr(record, name), zero=True)
    if record.ratio_to_dense is not None:
        for name, value in vars(record.ratio_to_dense).items():
            _check_number(f"ratio_to_dense.{name}", value, zero=False)
    if record.failure is not None and record.failure.kind not in FAILURES:
        raise ValueError(f"its failure is {record.failure.kind!r}, not one of {', '.join(FAILURES)}")
    timed = any(getattr(record, name) is not None for name in TIMES)
    if timed == (record.failure is not None):
        raise ValueError("it has both times and a failure" if timed else "it has neither a time nor a failure")
    parse_variant(record.sparsity)


def _check_number(name: str, value: Any, zero: bool) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"its {name} is {value!r}, not a number")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"its {name} is {value!r}, not a number {'of at least' if zero else 'above'} 0")
