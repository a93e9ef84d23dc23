"""Pace: times as they would be at a device's usual speed, which a reference kernel in the same run says.

A device's speed wanders: a phone grows hot, a shared machine has other work. What a kernel took over what the reference
kernel took in the same round does not. Times are that ratio times the reference kernel's usual time.

What a sparse variant took over the dense one in the same rounds is known better still, since the two are alike. It
decides what the variant's time is, so that variants from several runs of a layer compare as if they were from one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import replace

from latency.record import Record


def usual_reference(records: Iterable[Record]) -> float | None:
    """The median milliseconds of the reference kernel; None where no record has it."""
    found = [record.reference_ms for record in records if record.reference_ms is not None]
    return statistics.median(found) if found else None


def at_usual_pace(records: Iterable[Record], reference_ms: float | None = None) -> list[Record]:
    """The records with times that compare: at one pace, a variant's the dense one's times the ratio of their run.

    Args:
        reference_ms: what the reference kernel takes at that pace; `usual_reference` of the records without.
    """
    given = list(records)
    pace = reference_ms or usual_reference(given)
    found = [steady(record, pace) for record in given]
    dense = {record.group: record for record in found if record.kind == "layer" and record.ok and not record.variant}
    return [_tied(record, dense.get(record.group)) for record in found]


def _tied(record: Record, dense: Record | None) -> Record:
    """The record with the times that its ratio to the dense one says; as it is where it has none."""
    if dense is None or not record.ok or record.ratio_to_dense is None or not (record.wall_ms and dense.wall_ms):
        return record
    return _scaled(record, record.ratio_to_dense.median * dense.wall_ms / record.wall_ms)


def steady(record: Record, reference_ms: float | None) -> Record:
    """The record with its times at the pace at which the reference kernel takes `reference_ms`.

    It stays as it is where either is not known.
    """
    if reference_ms is None or record.to_reference is None or record.wall_ms is None:
        return record
    return _scaled(record, record.to_reference * reference_ms / record.wall_ms)


def _scaled(record: Record, factor: float) -> Record:
    def scaled(ms: float | None) -> float | None:
        return None if ms is None else factor * ms

    return replace(
        record,
        event_ms=scaled(record.event_ms),
        wall_ms=scaled(record.wall_ms),
        event_iqr_ms=scaled(record.event_iqr_ms),
        wall_iqr_ms=scaled(record.wall_iqr_ms),
    )
