"""Pace: times as they would be at a device's usual speed, which a reference kernel in the same run says.

A device's speed wanders: a phone grows hot, a shared machine has other work. What a kernel took over what the reference
kernel took in the same round does not. Times are that ratio times the reference kernel's usual time.
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


def steady(record: Record, reference_ms: float | None) -> Record:
    """The record with its times at the pace at which the reference kernel takes `reference_ms`.

    It stays as it is where either is not known.
    """
    if reference_ms is None or record.to_reference is None or record.wall_ms is None:
        return record
    factor = record.to_reference * reference_ms / record.wall_ms

    def scaled(ms: float | None) -> float | None:
        return None if ms is None else factor * ms

    return replace(
        record,
        event_ms=scaled(record.event_ms),
        wall_ms=scaled(record.wall_ms),
        event_iqr_ms=scaled(record.event_iqr_ms),
        wall_iqr_ms=scaled(record.wall_iqr_ms),
    )
