"""Confirm: what predictions leave open is timed on the device, dense and sparse of a layer in one interleaved run.

What records say is taken first. Then a layer is timed where it is open whether a variant pays, or a prediction is in
doubt; others stay predicted. Those layers come first of which a decision without timing is expected to lose most. Of a
layer that is timed, what may be faster than its fastest measured option is timed, too, so that the choice between
variants is between measured times. What fails on the device is no option any more. Layers with equal workloads are
timed once.
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
from latency.planning.assignment import LayerOptions
from latency.planning.gains import USUAL, Caution, KernelOption, expected_loss_ms, is_uncertain
from latency.planning.known_times import KnownTimes, WorkloadTimes, estimate_beside, estimate_of
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

#: what a device says to be the one a predictor was fitted on: (what, of the predictor's metadata, of the device)
SAME = (("profile", "device", "profile"), ("device", "gpu", "name"))


@dataclass(frozen=True)
class MeasuredOptions:
    """A network whose open options were timed.

    Attributes:
        network: it, with measured options in place of predicted ones.
        known: layers that records told the times of.
        timed: variants that were timed, dense ones included; `failed`: texts of those that failed.
        left: layers that stayed open, for want of time.
    """

    network: NetworkOptions
    known: int
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
    known: KnownTimes = KnownTimes(),  # noqa: B008  never changed
    budget_secs: float | None = None,
    report: Report = no_report,
) -> MeasuredOptions:
    """Time what is open, the layers first of which deciding now is expected to lose most.

    Args:
        network: with predicted options.
        session: the device's; see `check_device`.
        recipe, settings: how layers are compiled and timed.
        known: what records say, and the clock and pace that times are wanted at.
        budget_secs: no layer is begun later than this; None: no end.
        report: told what is timed, how many layers are done and how many there are.

    Raises:
        DeviceUnreachable: the device is gone.
    """
    started = time.monotonic()
    bench = LayerBench(session, settings)
    recorded = recorded_times(network, known, recipe, session)
    layers = {layer.layer: recorded[layer.layer].replace_in(layer) for layer in network.layers}
    kinds: dict[Workload, list[str]] = {}
    caution = network.caution
    for name in layers:
        if open_variants(layers[name], caution):
            kinds.setdefault(network.workloads[name], []).append(name)
    stakes = {workload: sum(stake_ms(layers[name], caution) for name in names) for workload, names in kinds.items()}
    order = sorted(kinds, key=lambda workload: -stakes[workload])
    timed, left, failed = 0, 0, []
    for number, workload in enumerate(order):
        names = kinds[workload]
        if budget_secs is not None and time.monotonic() - started >= budget_secs:
            left += len(names)
            continue
        report(names[0], number, len(order))
        timing = WorkloadTiming(bench, recipe, known, recorded[names[0]], caution)
        timing.run(workload, layers[names[0]])
        timed += timing.timed
        failed += [f"{names[0]} {text}" for text in timing.failures]
        for name in names:
            layers[name] = timing.results.replace_in(layers[name])
    told = sum(bool(times.times) for times in recorded.values())
    return MeasuredOptions(replace(network, layers=tuple(layers.values())), told, timed, tuple(failed), left)


def recorded_times(
    network: NetworkOptions, known: KnownTimes, recipe: Recipe, session: Session
) -> dict[str, WorkloadTimes]:
    """What records say of each layer's options."""
    return {
        layer.layer: known.layer(network.workloads[layer.layer], layer, recipe, session) for layer in network.layers
    }


def with_recorded_times(network: NetworkOptions, known: KnownTimes, recipe: Recipe, session: Session) -> NetworkOptions:
    """A network whose options have the times that records tell."""
    recorded = recorded_times(network, known, recipe, session)
    return replace(network, layers=tuple(recorded[layer.layer].replace_in(layer) for layer in network.layers))


def open_variants(layer: LayerOptions, caution: Caution = USUAL) -> list[Sparsity]:
    """The sparsities of a layer whose gain is open."""
    return [variant.sparsity for variant in _open(layer, caution) if variant.sparsity]


def stake_ms(layer: LayerOptions, caution: Caution = USUAL) -> float:
    """Milliseconds that deciding a layer now is expected to lose: of its open variant that loses most."""
    return max((expected_loss_ms(variant, layer.dense, caution) for variant in _open(layer, caution)), default=0.0)


def _open(layer: LayerOptions, caution: Caution) -> list[KernelOption]:
    if layer.fixed:
        return []
    return [option for option in layer.variants if is_uncertain(option, layer.dense, caution)]


def rivals(layer: LayerOptions) -> list[Sparsity]:
    """The predicted sparsities of a layer that may be faster than its fastest measured option; none of one untimed."""
    measured = [option.ms for option in (layer.dense, *layer.variants) if option.measured]
    fastest = min(measured, default=0.0)
    return [
        variant.sparsity
        for variant in layer.variants
        if variant.sparsity and not variant.measured and variant.low < fastest
    ]


class WorkloadTiming:
    """One workload on the device, beside what is known of it.

    Attributes:
        results: times and failures, the known ones among them.
        timed: variants that were timed.
    """

    def __init__(
        self, bench: LayerBench, recipe: Recipe, wanted: KnownTimes, known: WorkloadTimes, caution: Caution = USUAL
    ) -> None:
        self.bench, self.recipe, self.wanted, self.caution = bench, recipe, wanted, caution
        self.results, self._known = WorkloadTimes(dict(known.times), dict(known.failed)), known
        self.timed = 0

    @property
    def failures(self) -> list[str]:
        """Of what was timed here."""
        failed = self.results.failed
        return [f"{variant or 'dense'}: {failed[variant]}" for variant in failed if variant not in self._known.failed]

    def run(self, workload: Workload, layer: LayerOptions) -> None:
        """Time what is open of a layer, then what is open or may be faster beside the measured times."""
        known = layer
        while wanted := open_variants(known, self.caution) or rivals(known):
            for part in runs([Group(workload, (None, *wanted))]):
                outcomes, _ = self.bench.time(part, self.recipe.prepare(part))
                self._keep(outcomes)
            known = self.results.replace_in(known)
            if None in self.results.failed:
                break

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        """A variant's time is the dense one's of the first run times their ratio, in which drift cancels."""
        for outcome in outcomes:  # dense comes first
            sparsity = outcome.prepared.sparsity
            if outcome.failure is not None or outcome.measurement is None:
                why = outcome.failure.reason if outcome.failure else "it was not timed"
                self.results.failed[sparsity] = why.splitlines()[0]
                continue
            self.timed += 1
            estimate = times(outcome.measurement, self.wanted.clock, self._pace(outcome))
            if sparsity is None:
                self.results.times.setdefault(None, estimate)
            elif outcome.ratio is not None and None in self.results.times:
                self.results.times[sparsity] = estimate_beside(self.results.times[None], outcome.ratio)
            else:
                self.results.times[sparsity] = estimate

    def _pace(self, outcome: Outcome) -> float:
        """What brings a measurement to the pace that times are wanted at."""
        wall, pace = outcome.measurement.wall_median_secs if outcome.measurement else None, self.wanted.reference_ms
        if pace is None or outcome.to_reference is None or not wall:
            return 1.0
        return 1e-3 * pace * outcome.to_reference / wall


def times(measurement: Measurement, clock: str, factor: float = 1.0) -> TimeEstimate:
    """The median in milliseconds with its interval, all times `factor`."""
    event = clock == "event" or (clock == "auto" and measurement.event_median_secs is not None)
    middle = measurement.event_median_secs if event else measurement.wall_median_secs
    assert middle is not None
    return estimate_of(1e3 * factor * middle, median_error(measurement.event_secs if event else measurement.wall_secs))


def measure_dense_network(
    network: NetworkOptions,
    session: Session,
    recipe: Recipe,
    settings: RunSettings,
    dtype: str,
    known: KnownTimes = KnownTimes(),  # noqa: B008  never changed
) -> NetworkOptions:
    """The network with its dense time measured, at the pace of `known`; timed only where that has no record of it.

    Raises:
        UsageError: it failed. DeviceUnreachable: the device is gone.
    """
    variant = NetworkVariant(network.graph, None, dtype)
    record = known.network(variant, session)
    if record is None:
        reference = ReferenceKernel(session, settings.patience, log.info, host=settings.host)
        timed = network_record(session, variant, recipe, settings, reference)
        record = normalise_record(timed, known.reference_ms)
    if record.failure is not None or record.wall_ms is None:
        why = record.failure.reason if record.failure else "it has no wall time"
        raise UsageError(f"the dense network was not timed: {why}")
    half = min(record.wall_iqr_ms or 0.0, record.wall_ms) / 2
    return replace(network, whole=Cost(record.wall_ms, record.wall_ms - half, record.wall_ms + half, measured=True))


def describe_measured(confirmed: MeasuredOptions, device: Mapping[str, object]) -> list[str]:
    """What was timed, for the plan's notes."""
    name = device.get("name") or device.get("spec")
    notes = [f"{confirmed.known} layers were timed before the predictor was fitted"] if confirmed.known else []
    notes.append(f"{confirmed.timed} variants whose gain was open were timed on {name}")
    if confirmed.failed:
        notes.append(f"{len(confirmed.failed)} failed and are no options: {'; '.join(confirmed.failed[:3])}")
    if confirmed.left:
        notes.append(f"{confirmed.left} layers stayed open, for the time was over")
    return notes
