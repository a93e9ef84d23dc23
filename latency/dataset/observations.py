"""Samples of any file of measurements: our own records (JSONL) or a public table (CSV), filtered by --where.

Of our records the class of kernel is the schedule's name, with Winograd's m. Failures have no time and are left out,
with a log line that says how many.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from devices.profile import load_profile
from fleetpose.errors import UsageError, unknown_name
from fleetpose.files import sha256
from latency.dataset.hardware import Hardware
from latency.dataset.sample import OWN, Sample, pairs
from latency.dataset.tables import read_table
from latency.profiling.normalise import normalise_records, usual_reference
from latency.records.read import read_records
from latency.records.record import Record
from models.zoo.catalogue import CATALOGUE

log = logging.getLogger("latency.dataset.observations")

CLOCKS = ("event", "wall", "auto")
#: schedules with a pattern of tiles by m, which is a class of its own
BY_M = ("winograd", "winograd_sparse")

#: registered network -> its family; any other is a family of its own
FAMILY_OF = {spec.name: spec.family for spec in CATALOGUE}

Where = Mapping[str, Sequence[str]]


def parse_where(texts: Iterable[str]) -> dict[str, list[str]]:
    """COLUMN=VALUE texts as column -> values. Raises UsageError for what is none."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--where {text!r} is not COLUMN=VALUE, such as device=s10")
        found.setdefault(name, []).append(value)
    return found


def read_samples(
    paths: Sequence[Path | str],
    where: Where | None = None,
    clock: str = "auto",
    every_op: bool = False,
    reference_ms: float | None = None,
) -> list[Sample]:
    """The samples with a time of all `paths`, in order, not merged.

    Args:
        where: column -> values, any of which a row must have.
        clock: of our records: "event", "wall", or "auto": events where the device has them.
        every_op: of tables, operators that are no convolutions too.
        reference_ms: pace that our records are brought to (`latency.profiling.normalise`); their usual one without.

    Raises:
        UsageError: a file that is none of both or is damaged, an unknown column, nothing left, or several devices.
    """
    tables = [Path(path) for path in paths if is_table(path)]
    samples = [sample for path in tables for sample in read_table(path, where or {}, every_op)]
    records = [record for path in map(Path, paths) if path not in tables for record in _records(path, where or {})]
    samples += [sample_of_record(record, clock) for record in normalise_records(records, reference_ms)]
    if not samples:
        chosen = " ".join(f"{name}={'|'.join(values)}" for name, values in (where or {}).items())
        what = f"no row with a time passes --where {chosen}" if chosen else "no row has a time"
        raise UsageError(f"{', '.join(map(str, paths))}: {what}")
    devices = sorted({f"{sample.framework} on {sample.device}" for sample in samples})
    if len(devices) > 1:
        raise UsageError(f"times of {len(devices)} devices ({', '.join(devices)}); choose one by --where, for instance")
    return samples


def is_table(path: Path | str) -> bool:
    """Whether a file is a table and not records. Raises UsageError where it cannot be read or is empty."""
    path = Path(path)
    try:
        with open(path, encoding="utf-8") as stream:
            first = next((line for line in stream if line.strip()), "")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text: {error}") from error
    if not first:
        raise UsageError(f"{path} is empty")
    return path.suffix == ".csv" or not first.lstrip().startswith("{")


def reference_of(paths: Sequence[Path | str]) -> float | None:
    """The usual milliseconds of the reference kernel in files of records; None where there is none."""
    return usual_reference(record for path in paths if not is_table(path) for record in read_records(path))


def _records(path: Path, where: Where) -> list[Record]:
    """The records of layers with a time."""
    records = [record for record in read_records(path) if record.kind == "layer"]
    failed = sum(not record.ok for record in records)
    if failed:
        log.warning("%s: %d of %d variants failed and have no time; they are left out", path, failed, len(records))
    _check_columns(path, where)
    return [record for record in records if record.ok and _passes(record, where)]


#: what --where may name of our records
COLUMNS = ("op", "kernel", "schedule", "sparsity", "dtype", "network", "device", "profile", "spec")


def _check_columns(path: Path, where: Where) -> None:
    for name in where:
        if name not in COLUMNS:
            raise UsageError(f"{path}: --where: {unknown_name('column', name, COLUMNS)}")


def _passes(record: Record, where: Where) -> bool:
    assert record.layer is not None
    values: dict[str, Sequence[str]] = {
        "op": (record.layer.op,),
        "kernel": ("x".join(map(str, record.layer.kernel)),),
        "schedule": (str(record.schedule.get("schedule", "")),),
        "sparsity": (record.sparsity, record.sparsity.split(":")[0]),
        "dtype": (record.dtype,),
        "network": record.networks,
        "device": (str(record.device.get("name", "")),),
        "profile": (str(record.device.get("profile", "")),),
        "spec": (str(record.device.get("spec", "")),),
    }
    return all(set(values[name]) & set(wanted) for name, wanted in where.items())


def sample_of_record(record: Record, clock: str = "auto") -> Sample:
    """The sample of a record with a time. Raises UsageError where it lacks the clock that is asked for."""
    assert record.layer is not None
    event = clock == "event" or (clock == "auto" and record.event_ms is not None)
    ms, iqr = (record.event_ms, record.event_iqr_ms) if event else (record.wall_ms, record.wall_iqr_ms)
    if ms is None:
        raise UsageError(f"record {record.id} has no {'event' if event else 'wall'} time; try another --clock")
    if not (math.isfinite(ms) and ms > 0):
        raise UsageError(f"record {record.id} has the time {ms} ms, which is none")
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
    )


def class_of_schedule(schedule: Mapping[str, object], op: str) -> str:
    """The class of kernel of a schedule as `ScheduleChoice.to_dict` has it: "winograd4", "columns"."""
    name = str(schedule.get("schedule", "") or op)
    return f"{name}{schedule.get('m', '')}" if name in BY_M else name


def hardware_of(samples: Sequence[Sample]) -> Hardware:
    """What is known of the device of `samples`, which all are of one."""
    first = samples[0]
    if first.framework == OWN and first.device:
        try:
            return Hardware.of(load_profile(first.device))
        except UsageError:
            return Hardware()
    return Hardware.of_gpu(first.gpu)


def device_of(samples: Sequence[Sample], paths: Sequence[Path | str]) -> dict[str, str]:
    """Name, GPU, framework and driver of the device, for the metadata of a predictor."""
    first = samples[0]
    found = {"device": first.device, "gpu": first.gpu, "framework": first.framework, "driver": ""}
    if first.framework == OWN:
        for path in paths:
            line = next((line for line in Path(path).read_text().splitlines() if line.strip().startswith("{")), "{}")
            found["driver"] = str((json.loads(line).get("device") or {}).get("driver", ""))
    return found


def data_hash(paths: Sequence[Path | str]) -> str:
    """SHA-256 of the files' own, sorted."""
    return hashlib.sha256("".join(sorted(map(sha256, paths))).encode()).hexdigest()
