"""Our own records as samples: which pass --where, and what the latency model is told of them.

The class of kernel is the schedule's name, with Winograd's m.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from devices.profile import Profile, load_profile
from fleetpose.errors import UsageError, unknown_name
from latency.dataset.hardware import Hardware
from latency.dataset.sample import OWN, Sample, pairs
from latency.records.record import Record
from models.zoo.catalogue import CATALOGUE

log = logging.getLogger("latency.dataset.observations")

CLOCKS = ("event", "wall", "auto")
#: schedules with a pattern of tiles by m, which is a class of its own
BY_M = ("winograd", "winograd_sparse")

#: registered network -> its family; any other is a family of its own
FAMILY_OF = {spec.name: spec.family for spec in CATALOGUE}

Where = Mapping[str, Sequence[str]]


#: what --where may name of our records
COLUMNS = ("op", "kernel", "schedule", "sparsity", "dtype", "widened", "network", "device", "profile", "spec", "marks")
#: what column "marks" says of a record that has none
UNMARKED = "none"


def check_columns(path: Path, where: Where) -> None:
    """Raise UsageError, saying the file, for a column of `where` that records do not have."""
    for name in where:
        if name not in COLUMNS:
            raise UsageError(f"{path}: --where: {unknown_name('column', name, COLUMNS)}")


def layer_passes(record: Record, where: Where) -> bool:
    """Whether the record of a layer has, of each column of `where`, one of its values."""
    assert record.layer is not None
    values: dict[str, Sequence[str]] = {
        "op": (record.layer.op,),
        "kernel": ("x".join(map(str, record.layer.kernel)),),
        "schedule": (str(record.schedule.get("schedule", "")),),
        "sparsity": (record.sparsity, record.sparsity.split(":")[0]),
        "dtype": (record.dtype,),
        "widened": (record.widened or "nothing",),
        "network": record.networks,
        "device": (str(record.device.get("name", "")),),
        "profile": (str(record.device.get("profile", "")),),
        "spec": (str(record.device.get("spec", "")),),
        "marks": record.marks or (UNMARKED,),
    }
    return all(set(values[name]) & set(wanted) for name, wanted in where.items())


def network_passes(record: Record, where: Where) -> bool:
    """The same of the record of a network; columns that only layers have are not looked at."""
    values: dict[str, Sequence[str]] = {
        "device": (str(record.device.get("name", "")),),
        "network": (record.network,),
        "dtype": (record.dtype,),
    }
    values |= {name: (str(record.device.get(name, "")),) for name in ("profile", "spec")}
    values["marks"] = record.marks or (UNMARKED,)
    return all(set(values[name]) & set(wanted) for name, wanted in where.items() if name in values)


def sample_of_record(record: Record, clock: str = "auto") -> Sample:
    """The sample of a record with a time. Raises UsageError where it lacks the clock that is asked for."""
    assert record.layer is not None
    event = clock == "event" or (clock == "auto" and record.event_ms is not None)
    ms, iqr = (record.event_ms, record.event_iqr_ms) if event else (record.wall_ms, record.wall_iqr_ms)
    if ms is None:
        raise UsageError(f"record {record.id} has no {'event' if event else 'wall'} time; try another --clock")
    if not (math.isfinite(ms) and ms > 0):
        raise UsageError(f"record {record.id} has the time {ms} ms; a time is above 0")
    return Sample(
        record.layer,
        class_of_schedule(record.schedule, record.layer.op),
        record.variant,
        record.dtype,
        pairs({name: value for name, value in record.schedule.items() if name != "schedule"}),
        max(1, record.grids),
        ms,
        None if iqr is None else iqr / ms,
        record.networks,
        tuple(sorted({FAMILY_OF.get(name, name) for name in record.networks})),
        record.group,
        OWN,
        str(record.device.get("profile", "")),
        str(record.device.get("name", "")),
        record.widened,
    )


def class_of_schedule(schedule: Mapping[str, object], op: str) -> str:
    """The class of kernel of a schedule as `ScheduleChoice.to_dict` has it: "winograd4", "columns"."""
    name = str(schedule.get("schedule", "") or op)
    return f"{name}{schedule.get('m', '')}" if name in BY_M else name


def hardware_of(samples: Sequence[Sample], profile: Profile | None = None) -> Hardware:
    """What is known of the device of `samples`, which all are of one.

    Args:
        profile: the device's, where it is none that comes with the package.

    Raises:
        UsageError: the samples are by a profile of another name.
    """
    first = samples[0]
    if profile is not None and first.framework == OWN:
        if profile.name != first.device:
            raise UsageError(f"the measurements are by profile {first.device!r}, not by {profile.name!r}")
        return Hardware.of(profile)
    if first.framework == OWN and first.device:
        try:
            return Hardware.of(load_profile(first.device))
        except UsageError:
            return Hardware()
    return Hardware.of_gpu(first.gpu)
