"""Normalise records: times as they would be at a device's usual speed, which a reference kernel in the same run says.

A device's speed wanders: a phone grows hot, a shared machine has other work. What a kernel took over what the reference
kernel took in the same round does not. Times are that ratio times the reference kernel's usual time.

What a sparse variant took over the dense one in the same rounds is known better still, since the two are alike. It
decides what the variant's time is, so that variants from several runs of a layer compare as if they were from one. The
dense one's own time is the mean over these runs, in each of which it took part.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import replace

from latency.records.record import Record


def usual_reference(records: Iterable[Record]) -> float | None:
    """The median milliseconds of the reference kernel; None where no record has it."""
    times = [record.reference_ms for record in records if record.reference_ms is not None]
    return statistics.median(times) if times else None


def normalise_records(records: Iterable[Record], reference_ms: float | None = None) -> list[Record]:
    """The records with times that compare: at one pace, a variant's the dense one's times the ratio of their run.

    Args:
        reference_ms: what the reference kernel takes at that pace; by default `usual_reference` of the records.
    """
    given = list(records)
    pace = reference_ms or usual_reference(given)
    steadied = [normalise_record(record, pace) for record in given]
    groups: dict[str, list[Record]] = {}
    for record in steadied:
        if record.group and record.ok and record.wall_ms:
            groups.setdefault(record.group, []).append(record)
    dense = {name: ms for name, group in groups.items() if (ms := _dense_ms(group)) is not None}
    return [_tie_to_dense(record, dense.get(record.group)) for record in steadied]


def _dense_ms(group: Iterable[Record]) -> float | None:
    """Wall milliseconds of a layer's dense kernel, the geometric mean over the runs; None where it has no record.

    A run is known by what the reference kernel took in it; a variant's time over its ratio is the dense one's there.
    """
    runs: dict[float | None, list[float]] = {}
    dense = None
    for record in group:
        assert record.wall_ms is not None
        if record.variant is None:
            dense = record
            runs.setdefault(record.reference_ms, []).append(record.wall_ms)
        elif record.ratio_to_dense is not None and record.reference_ms is not None:
            runs.setdefault(record.reference_ms, []).append(record.wall_ms / record.ratio_to_dense.median)
    return None if dense is None else statistics.geometric_mean(map(statistics.median, runs.values()))


def _tie_to_dense(record: Record, dense_ms: float | None) -> Record:
    """The record with the dense kernel's time, or that times its ratio; as it is where it has no ratio."""
    if dense_ms is None or not record.ok or not record.wall_ms:
        return record
    if record.variant is None:
        return _scale(record, dense_ms / record.wall_ms)
    ratio = record.ratio_to_dense
    return record if ratio is None else _scale(record, ratio.median * dense_ms / record.wall_ms)


def normalise_record(record: Record, reference_ms: float | None) -> Record:
    """The record with its times at the pace at which the reference kernel takes `reference_ms`.

    It stays as it is where either is not known.
    """
    if reference_ms is None or record.to_reference is None or record.wall_ms is None:
        return record
    return _scale(record, record.to_reference * reference_ms / record.wall_ms)


def _scale(record: Record, factor: float) -> Record:
    def scale(ms: float | None) -> float | None:
        return None if ms is None else factor * ms

    return replace(
        record,
        event_ms=scale(record.event_ms),
        wall_ms=scale(record.wall_ms),
        event_iqr_ms=scale(record.event_iqr_ms),
        wall_iqr_ms=scale(record.wall_iqr_ms),
    )
