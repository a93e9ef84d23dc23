"""Confirm: what predictions leave open is timed on the device, dense and sparse of a layer in one interleaved run.

A layer is timed where the interval of a variant's ratio to dense holds 1, or a prediction is in doubt; others stay
predicted. Of a layer that is timed, what may be faster than its fastest measured option is timed, too, so that the
choice between variants is between measured times. What fails on the device is no option any more. Layers with equal
workloads are timed once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.kernels.workload import Workload
from devices.session import Session
from devices.timing.measure import device_of
from devices.timing.measurement import Measurement, median_error
from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report
from latency.cost_model.predictor import Predictor
from latency.planning.assignment import KernelOption, LayerOptions, is_uncertain
from latency.planning.options import NetworkOptions
from latency.profiling.bench import LayerBench, Outcome
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.network_timing import NetworkVariant, network_record
from latency.profiling.normalise import normalise_record
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import ReferenceKernel
from latency.profiling.space import Group, runs
from models.plans.cost import Cost
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import TimeEstimate

log = logging.getLogger("latency.planning.measure_uncertain")

#: standard errors to either side that hold 90 % of a normal distribution
Z = 1.645
#: what a device says to be the one a predictor was fitted on: (what, of the predictor's metadata, of the device)
SAME = (("profile", "device", "profile"), ("device", "gpu", "name"))


@dataclass(frozen=True)
class MeasuredOptions:
    """A network whose open options were timed.

    Attributes:
        network: it, with measured options in place of predicted ones.
        timed: variants that were timed, dense ones included; `failed`: texts of those that failed.
        left: layers that stayed open, for want of time.
    """

    network: NetworkOptions
    timed: int
    failed: tuple[str, ...]
    left: int


def check_device(predictor: Predictor, session: Session) -> None:
    """Raise UsageError where a session's device is not the one a predictor is of: their times would not compare."""
    device = device_of(session)
    for what, ours, its in SAME:
        expected, actual = predictor.metadata.get(ours, ""), device.get(its, "")
        if expected and expected != actual:
            raise UsageError(
                f"the predictor is of {what} {expected!r}, the device is {actual!r}; fit to its own records"
            )


def measure_uncertain(
    network: NetworkOptions,
    session: Session,
    recipe: Recipe,
    settings: RunSettings,
    clock: str = "auto",
    reference_ms: float | None = None,
    budget_secs: float | None = None,
    report: Report = no_report,
) -> MeasuredOptions:
    """Time what is open, layers with the largest share of the network first.

    Args:
        network: with predicted options.
        session: the device's; see `check_device`.
        recipe, settings: how layers are compiled and timed.
        clock: that the predictor's times are of: "event", "wall", or "auto": events where there are any.
        reference_ms: pace that times are brought to (`latency.profiling.normalise`), the predictor's.
        budget_secs: no layer is begun later than this; None: no end.
        report: told what is timed, how many layers are done and how many there are.

    Raises:
        DeviceUnreachable: the device is gone.
    """
    started = time.monotonic()
    bench = LayerBench(session, settings)
    layers = {layer.layer: layer for layer in network.layers}
    kinds: dict[Workload, list[str]] = {}
    for name in layers:
        if open_variants(layers[name]):
            kinds.setdefault(network.workloads[name], []).append(name)
    order = sorted(kinds, key=lambda workload: -sum(layers[name].dense.ms for name in kinds[workload]))
    timed, left, failed = 0, 0, []
    for number, workload in enumerate(order):
        names = kinds[workload]
        if budget_secs is not None and time.monotonic() - started >= budget_secs:
            left += len(names)
            continue
        report(names[0], number, len(order))
        times_of_kind = WorkloadTimes(bench, recipe, clock, reference_ms).of(workload, layers[names[0]])
        timed += times_of_kind.timed
        failed += [f"{names[0]} {text}" for text in times_of_kind.failures]
        for name in names:
            layers[name] = times_of_kind.replace_in(layers[name])
    return MeasuredOptions(replace(network, layers=tuple(layers.values())), timed, tuple(failed), left)


def open_variants(layer: LayerOptions) -> list[Sparsity]:
    """The sparsities of a layer whose gain is open."""
    if layer.fixed:
        return []
    return [variant.sparsity for variant in layer.variants if variant.sparsity and is_uncertain(variant, layer.dense)]


def rivals(layer: LayerOptions) -> list[Sparsity]:
    """The predicted sparsities of a layer that may be faster than its fastest measured option; none of one untimed."""
    measured = [option.ms for option in (layer.dense, *layer.variants) if option.measured]
    fastest = min(measured, default=0.0)
    return [
        variant.sparsity
        for variant in layer.variants
        if variant.sparsity and not variant.measured and variant.low < fastest
    ]


class WorkloadTimes:
    """What the device says of one workload: times by sparsity, and what failed."""

    def __init__(self, bench: LayerBench, recipe: Recipe, clock: str, reference_ms: float | None) -> None:
        self.bench, self.recipe, self.clock, self.reference_ms = bench, recipe, clock, reference_ms
        self.options: dict[Sparsity | None, TimeEstimate] = {}
        self.failed: dict[Sparsity | None, str] = {}
        self.timed = 0

    @property
    def failures(self) -> list[str]:
        return [f"{sparsity or 'dense'}: {why}" for sparsity, why in self.failed.items()]

    def of(self, workload: Workload, layer: LayerOptions) -> WorkloadTimes:
        """Time what is open of a layer, then what is open or may be faster beside the measured times."""
        known = layer
        while wanted := open_variants(known) or rivals(known):
            for part in runs([Group(workload, (None, *wanted))]):
                outcomes, _ = self.bench.time(part, self.recipe.prepare(part))
                self._keep(outcomes)
            known = self.replace_in(known)
            if None in self.failed:
                break
        return self

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        """A variant's time is the dense one's of the first run times their ratio, in which drift cancels."""
        for outcome in outcomes:  # dense comes first
            sparsity = outcome.prepared.sparsity
            if outcome.failure is not None or outcome.measurement is None:
                why = outcome.failure.reason if outcome.failure else "it was not timed"
                self.failed[sparsity] = why.splitlines()[0]
                continue
            self.timed += 1
            estimate = times(outcome.measurement, self.clock, self._pace(outcome))
            if sparsity is None:
                self.options.setdefault(None, estimate)
            elif outcome.ratio is not None and None in self.options:
                relative = TimeEstimate(outcome.ratio.median, outcome.ratio.low, outcome.ratio.high)
                self.options[sparsity] = relative.scaled(self.options[None].ms)
            else:
                self.options[sparsity] = estimate

    def _pace(self, outcome: Outcome) -> float:
        """What brings a measurement to the pace that times are wanted at."""
        wall = outcome.measurement.wall_median_secs if outcome.measurement else None
        if self.reference_ms is None or outcome.to_reference is None or not wall:
            return 1.0
        return 1e-3 * self.reference_ms * outcome.to_reference / wall

    def replace_in(self, layer: LayerOptions) -> LayerOptions:
        """A layer with measured options in place of predicted ones, and without those that failed."""
        variants = [self._with_time(variant) for variant in layer.variants if variant.sparsity not in self.failed]
        dense = layer.dense
        if None in self.failed:
            dense = replace(dense, doubt=f"the dense kernel failed on the device: {self.failed[None]}")
            variants = [replace(variant, doubt=dense.doubt) for variant in variants]
        return replace(layer, dense=self._with_time(dense), variants=tuple(variants))

    def _with_time(self, option: KernelOption) -> KernelOption:
        if option.sparsity not in self.options:
            return option
        return replace(option.with_time(self.options[option.sparsity]), measured=True, doubt=None)


def times(measurement: Measurement, clock: str, factor: float = 1.0) -> TimeEstimate:
    """The median in milliseconds, and what it may be off by (Z standard errors) to either side, all times `factor`."""
    event = clock == "event" or (clock == "auto" and measurement.event_median_secs is not None)
    middle = measurement.event_median_secs if event else measurement.wall_median_secs
    assert middle is not None
    off = Z * median_error(measurement.event_secs if event else measurement.wall_secs)
    half, scale = min(off, 0.5) * middle, 1e3 * factor
    return TimeEstimate(scale * middle, scale * (middle - half), scale * (middle + half))


def measure_dense_network(
    network: NetworkOptions,
    session: Session,
    recipe: Recipe,
    settings: RunSettings,
    dtype: str,
    reference_ms: float | None = None,
) -> NetworkOptions:
    """The network with its dense time measured, at the pace of `reference_ms`.

    Raises:
        UsageError: it failed. DeviceUnreachable: the device is gone.
    """
    reference = ReferenceKernel(session, settings.patience, log.info, host=settings.host)
    record = network_record(session, NetworkVariant(network.graph, None, dtype), recipe, settings, reference)
    record = normalise_record(record, reference_ms)
    if record.failure is not None or record.wall_ms is None:
        why = record.failure.reason if record.failure else "it has no wall time"
        raise UsageError(f"the dense network was not timed: {why}")
    half = min(record.wall_iqr_ms or 0.0, record.wall_ms) / 2
    return replace(network, whole=Cost(record.wall_ms, record.wall_ms - half, record.wall_ms + half, measured=True))


def describe_measured(confirmed: MeasuredOptions, device: Mapping[str, object]) -> list[str]:
    """What was timed, for the plan's notes."""
    name = device.get("name") or device.get("spec")
    notes = [f"{confirmed.timed} variants whose gain was open were timed on {name}"]
    if confirmed.failed:
        notes.append(f"{len(confirmed.failed)} failed and are no options: {'; '.join(confirmed.failed[:3])}")
    if confirmed.left:
        notes.append(f"{confirmed.left} layers stayed open, for the time was over")
    return notes
