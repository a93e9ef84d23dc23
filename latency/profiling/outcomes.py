"""From what came of a run to records: which numbers are kept, in which units, and under which conditions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from devices.session import Session
from devices.timing.measure import device_of
from devices.timing.measurement import Measurement, versions
from latency.profiling.bench import Outcome
from latency.profiling.reference_kernel import Pace
from latency.profiling.settling import Condition
from latency.profiling.space import Group
from latency.records.record import MARKS, Record
from models.plans.sparsity import variant_text

#: digits kept of a time
DIGITS = 6


def layer_records(group: Group, outcomes: Sequence[Outcome], pace: Pace, session: Session) -> list[Record]:
    """One record for each variant of a run."""
    device = device_of(session)
    records = []
    for outcome in outcomes:
        prepared = outcome.prepared
        records.append(
            Record(
                id=group.identity(prepared.sparsity, device),
                kind="layer",
                dtype=group.workload.dtype,
                layer=group.workload.layer,
                pitches=group.pitches,
                sparsity=variant_text(prepared.sparsity),
                widened=group.workload.widened,
                schedule=prepared.choice.to_dict() if prepared.choice else {},
                grids=prepared.compiled.kernel.grids if prepared.compiled else int(outcome.failure is None),
                networks=group.networks,
                group=group.identity(None, device),
                ratio_to_dense=outcome.ratio,
                failure=outcome.failure,
                device=device,
                versions=versions(),
                date=now(),
                **times(outcome.measurement, failed=outcome.failure is not None),
                conditions=conditions_of_run(outcome.measurement, pace.condition),
                drift=round_to_digits(pace.drift),
                **_relative(outcome, pace),
            )
        )
    return records


def _relative(outcome: Outcome, pace: Pace) -> dict[str, Any]:
    """The fields of a record that hold what the reference kernel took."""
    if outcome.failure is not None or outcome.to_reference is None:
        return {}
    return {"reference_ms": round_to_digits(pace.reference_ms), "to_reference": round_to_digits(outcome.to_reference)}


def times(measurement: Measurement | None, failed: bool = False) -> dict[str, Any]:
    """The fields of a record that hold times, in milliseconds, and the number of samples."""
    if measurement is None or failed or not measurement.ok:
        return {}
    secs = {
        "event_ms": measurement.event_median_secs,
        "wall_ms": measurement.wall_median_secs,
        "event_iqr_ms": measurement.event_iqr_secs,
        "wall_iqr_ms": measurement.wall_iqr_secs,
    }
    times_ms = {name: None if value is None else round_to_digits(1e3 * value) for name, value in secs.items()}
    return {**times_ms, "samples": len(measurement.wall_secs)}


def conditions_of_run(measurement: Measurement | None, condition: Condition) -> dict[str, Any]:
    """The field of a record that holds the device's conditions: those before the run, and what is known of it after."""
    conditions: dict[str, Any] = dict(measurement.before) if measurement else {}
    if condition.clock_mhz is not None:
        conditions["gpu_clock_busy_mhz"] = condition.clock_mhz
    if condition.marks:
        conditions[MARKS] = [mark.value for mark in condition.marks]
    return conditions


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def round_to_digits(value: float | None) -> float | None:
    """To DIGITS significant digits."""
    return None if value is None else float(f"{value:.{DIGITS}g}")
