"""Known times: what records of a device already say of a network's options, so that nothing is timed twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from codegen.kernels.workload import Workload
from devices.session import Session
from devices.timing.measure import device_of
from devices.timing.measurement import error_of_median
from latency.planning.assignment import LayerOptions
from latency.planning.gains import KernelOption
from latency.profiling.network_timing import NetworkVariant
from latency.profiling.normalise import normalise_records
from latency.profiling.prepare import Recipe
from latency.profiling.space import Group
from latency.records.record import RatioToDense, Record
from models.plans.log_spread import NINETY
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import TimeEstimate

#: the largest error of a median that is believed, as a share of it
MOST_ERROR = 0.5


@dataclass(frozen=True)
class WorkloadTimes:
    """What the device said of one workload: times by sparsity (None: dense), and why others failed."""

    times: dict[Sparsity | None, TimeEstimate]
    failed: dict[Sparsity | None, str]

    def replace_in(self, layer: LayerOptions) -> LayerOptions:
        """A layer with measured options in place of predicted ones, and without those that failed."""
        variants = [self._with_time(variant) for variant in layer.variants if variant.sparsity not in self.failed]
        dense = layer.dense
        if None in self.failed:
            dense = replace(dense, doubt=f"the dense kernel failed on the device: {self.failed[None]}")
            variants = [replace(variant, doubt=dense.doubt) for variant in variants]
        return replace(layer, dense=self._with_time(dense), variants=tuple(variants))

    def _with_time(self, option: KernelOption) -> KernelOption:
        if option.sparsity not in self.times:
            return option
        return replace(option.with_time(self.times[option.sparsity]), measured=True, doubt=None)


class KnownTimes:
    """Times of layers and networks on one device, by its records.

    Args:
        records: of any devices; those of other devices are not found.
        clock: that times are wanted of: "event", "wall", or "auto": events where there are any.
        reference_ms: pace that times are brought to (`latency.profiling.normalise`), the predictor's.
    """

    def __init__(self, records: Iterable[Record] = (), clock: str = "auto", reference_ms: float | None = None) -> None:
        self._given, self.clock, self.reference_ms = tuple(records), clock, reference_ms

    @cached_property
    def _records(self) -> dict[str, Record]:
        """At one pace, by id; a later record of the same id replaces an earlier one."""
        return {record.id: record for record in normalise_records(self._given, self.reference_ms)}

    def network(self, variant: NetworkVariant, session: Session) -> Record | None:
        """The record of a network that ran; None where there is none."""
        record = self._records.get(variant.identity(session))
        return record if record is not None and record.ok else None

    def layer(self, workload: Workload, layer: LayerOptions, recipe: Recipe, session: Session) -> WorkloadTimes:
        """What is recorded of a layer's options, of those that the recipe still chooses the same schedule for."""
        sparsities = (None, *(variant.sparsity for variant in layer.variants))
        group, device = Group(workload, sparsities), device_of(session)
        times: dict[Sparsity | None, TimeEstimate] = {}
        failed: dict[Sparsity | None, str] = {}
        for chosen, choice in recipe.choices(group) if self._given else ():
            record = self._records.get(group.identity(chosen.sparsity, device))
            if record is None or record.schedule != choice.to_dict():
                continue
            if record.failure is not None:
                failed[chosen.sparsity] = record.failure.reason.splitlines()[0]
            elif (estimate := self._estimate(record, times.get(None))) is not None:
                times[chosen.sparsity] = estimate
        return WorkloadTimes(times, failed)

    def _estimate(self, record: Record, dense: TimeEstimate | None) -> TimeEstimate | None:
        """A record's time; of a variant the dense one's times their ratio, in which drift cancels."""
        ratio = record.ratio_to_dense
        if ratio is not None and dense is not None:
            return estimate_beside(dense, ratio)
        event = self.clock == "event" or (self.clock == "auto" and record.event_ms is not None)
        ms, iqr_ms = (record.event_ms, record.event_iqr_ms) if event else (record.wall_ms, record.wall_iqr_ms)
        return None if ms is None else estimate_of(ms, error_of_median(ms, iqr_ms or 0.0, record.samples))


def estimate_beside(dense: TimeEstimate, ratio: RatioToDense) -> TimeEstimate:
    """A variant's time: the dense one's times the ratio of their rounds."""
    return TimeEstimate(ratio.median, ratio.low, ratio.high).scaled(dense.ms)


def estimate_of(ms: float, error: float) -> TimeEstimate:
    """A median in milliseconds with its interval: NINETY times `error`, its standard error as a share of it."""
    off = min(NINETY * error, MOST_ERROR) * ms
    return TimeEstimate(ms, ms - off, ms + off)
