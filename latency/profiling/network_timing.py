"""Whole networks, timed: what the sum of their layers is calibrated on.

A network is compiled as `codegen.build` does it, by the same schedules as its layers, and run on the device with its
input and outputs there; what moves them over RPC is not in the time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from codegen.judging.networks import judge_network
from codegen.kernels.widening import widened_part
from codegen.lowering.compile import CompiledNetwork, compile_network
from codegen.lowering.network import Options
from codegen.tuning.contest import brief
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import measure_interleaved
from devices.timing.measure import device_of, measure
from devices.timing.measurement import versions
from devices.timing.sustained import NETWORK, sustain
from fleetpose.disk.refusals import CannotWrite
from fleetpose.errors import DeviceUnreachable, FleetposeError, UsageError, reason
from fleetpose.interrupt import hold_interrupt
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.outcomes import conditions_of_run, now, round_to_digits, times
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import REFERENCE_NAME, ReferenceKernel
from latency.profiling.settling import Condition
from latency.records.identity import network_id
from latency.records.record import Failure, Record
from models.graph.network import Graph
from models.plans.plan import Plan
from models.prune.oneshot import prune_graph

log = logging.getLogger("latency.profiling.network_timing")

#: inferences timed for each round of a layer's run
SAMPLES_PER_ROUND = 3
#: how often networks that are compared are loaded anew; see `devices.timing.interleaved.measure_reloaded`
LOADS = 3
#: rounds at most / `SAMPLES_PER_ROUND` a round, where ratios scatter; what differs from loading to loading is no less
#: for more rounds, of which each takes long
EXTEND = 2


@dataclass(frozen=True)
class NetworkVariant:
    """A network at one size, dense or under a plan."""

    graph: Graph
    plan: Plan | None = None
    dtype: str = "float32"

    @cached_property
    def network(self) -> Graph:
        """The graph with zeros wherever the plan asks for some, whatever its weights."""
        return self.graph if self.plan is None else prune_graph(self.graph, self.plan)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.graph.input_shape[1:]

    @property
    def variants(self) -> dict[str, str]:
        """The layers that are not dense."""
        return {name: str(sparsity) for name, sparsity in (self.plan.sparsities if self.plan else {}).items()}

    def identity(self, session: Session) -> str:
        """The id of its record."""
        graph = self.graph
        parts = {layer.name: widened_part(graph, layer, self.dtype) for layer in graph.layers}
        widened = {name: part for name, part in parts.items() if part}
        return network_id(device_of(session), graph.name, self.size, self.variants, self.dtype, widened)


def compile_variant(variant: NetworkVariant, recipe: Recipe) -> CompiledNetwork:
    """Compile it by the schedules that its layers are timed with. Raises what lowering or TVM raises.

    A dense one is compiled once a recipe.
    """
    if variant.plan is not None:
        return _compile(variant.network, Options(variant.dtype, variant.plan.sparsities, recipe.choose), recipe)
    key = (id(variant.graph), variant.dtype, recipe.host)
    if key not in recipe.networks:
        options = Options(variant.dtype, choose=recipe.choose)
        recipe.networks[key] = (variant.graph, _compile(variant.graph, options, recipe))
    return recipe.networks[key][1]


def _compile(graph: Graph, options: Options, recipe: Recipe) -> CompiledNetwork:
    return compile_network([graph], recipe.profile, options, recipe.host, recipe.output_names)


def network_variants(graphs: Sequence[Graph], plans: Sequence[Plan], dtypes: Sequence[str]) -> list[NetworkVariant]:
    """Every graph dense and under each plan that is of it. Raises UsageError where a plan is of none."""
    names = {graph.name for graph in graphs}
    for plan in plans:
        if plan.model not in names:
            raise UsageError(f"a plan is of {plan.model}, which is not among --model {' '.join(sorted(names))}")
    variants: list[Plan | None] = [None, *plans]
    return [
        NetworkVariant(graph, plan, dtype)
        for graph in graphs
        for plan in variants
        for dtype in dtypes
        if plan is None or plan.model == graph.name
    ]


@hold_interrupt()
def network_record(
    session: Session, variant: NetworkVariant, recipe: Recipe, settings: RunSettings, reference: ReferenceKernel
) -> Record:
    """Compile, judge, time, tell. What fails is the record's failure; DeviceUnreachable where the device is gone."""
    device = device_of(session)
    record = Record(
        id=variant.identity(session), kind="network", dtype=variant.dtype, network=variant.graph.name,
        size=variant.size, plan=variant.variants, device=device, versions=versions(), date=now(),
        failure=Failure("error", "not run yet"),
    )  # fmt: skip
    try:
        compiled = compile_variant(variant, recipe)
    except CannotWrite:
        raise
    except Exception as error:
        return replace(record, failure=Failure("compile", f"{type(error).__name__}: {reason(error)}"))
    record = replace(record, grids=compiled.launches, drift=round_to_digits(reference.settle()))
    try:
        wrong = judge_variant(variant, compiled, session, settings)
        timing = wrong or _time(session, compiled.load(session), settings, reference)
    except DeviceUnreachable as error:
        failure = Failure("device", reason(error))
    except CannotWrite:
        raise
    except Exception as error:  # whatever it is, it is this network's result
        failure = Failure("error", f"{type(error).__name__}: {reason(error)}")
    else:
        if not isinstance(timing, Failure):
            return replace(record, failure=None, **timing)
        failure = timing
    if not session.alive():
        session.reconnect()
        reference.forget()
    return replace(record, failure=failure)


def judge_variant(
    variant: NetworkVariant, compiled: CompiledNetwork, session: Session, settings: RunSettings
) -> Failure | None:
    """The failure of a network whose outputs are not float64's, or do not come. DeviceUnreachable is raised."""
    try:
        fault = judge_network(compiled, [variant.network], session, settings.network_timeout_secs, settings.seed)
    except TimeoutError as error:
        return Failure("timeout", str(error))
    return None if fault is None else Failure("wrong", fault)


def _time(
    session: Session, call: TimedCall, settings: RunSettings, reference: ReferenceKernel
) -> dict[str, Any] | Failure:
    """What a record says of a loaded network's time; the Failure of one that does not run.

    A sample of the reference kernel is as long as one inference, and the two are compared round by round: on a machine
    with other work, short samples find quiet moments that an inference of a tenth of a second never has.
    """
    first = measure(session, call.function, entry=call.entry, warmup=1, repeats=SAMPLES_PER_ROUND,
                    timeout_secs=settings.network_timeout_secs)  # fmt: skip
    if not first.ok:
        return Failure(first.failure or "error", brief(first.error))
    sample_secs = max(settings.sample_secs, min(first.wall_secs))
    timing, condition = _time_beside(session, call, settings, reference, sample_secs)
    if condition.throttled and reference.settling.cooler.wait():
        log.info("the device held itself back and has cooled down: once more")
        reference.settle()
        timing, _ = _time_beside(session, call, settings, reference, sample_secs)
    if settings.sustained is not None and not isinstance(timing, Failure):
        timing["sustained"] = _sustain(session, call, settings.sustained, reference)
    return timing


def _time_beside(
    session: Session, call: TimedCall, settings: RunSettings, reference: ReferenceKernel, sample_secs: float
) -> tuple[dict[str, Any] | Failure, Condition]:
    """What `_time` answers, of one interleaved run beside the reference kernel, and the device's state in it."""
    result = measure_interleaved(
        session, {"network": call, REFERENCE_NAME: reference.call()}, SAMPLES_PER_ROUND * settings.rounds,
        warmup=1, clock="wall", min_repeat_secs=sample_secs,
        timeout_secs=settings.network_timeout_secs, seed=settings.seed,
    )  # fmt: skip
    measurement, beside = (result.measurements[name] for name in ("network", REFERENCE_NAME))
    if not measurement.ok:
        return Failure(measurement.failure or "error", brief(measurement.error)), Condition()
    pace = reference.pace_of(beside)
    fields = {
        "conditions": conditions_of_run(measurement, pace.condition),
        "drift": round_to_digits(pace.drift),
        "reference_ms": round_to_digits(pace.reference_ms),
        "to_reference": round_to_digits(result.ratios[REFERENCE_NAME].median),
        **times(measurement),
    }
    return fields, pace.condition


def _sustain(session: Session, call: TimedCall, minutes: float, reference: ReferenceKernel) -> dict[str, Any]:
    """What a network takes for minutes; {} where it fails, which voids no time that was taken before."""
    try:
        return sustain(session, {NETWORK: call}, minutes, reference.report, reference.patience.cooling)
    except FleetposeError as error:
        log.warning("%s", error)
    if not session.alive():
        session.reconnect()
        reference.forget()
    return {}
