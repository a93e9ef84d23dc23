"""Which family of zeros is fastest for each layer of a plan, as measured on the device: blocks that suit one layer, or
one device's registers, do not suit the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from codegen.kernels.workload import Workload
from codegen.layout.assign import assign_layout
from codegen.lowering.hosts import host_for
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands
from codegen.tuning.database import Tuned, load_tuned
from codegen.tuning.key import Key
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import measure_interleaved
from fleetpose.errors import FleetposeError
from fleetpose.progress import Report, no_report
from models.graph.network import Graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity

ROUNDS = 7


def fastest_plan(session: Session, graph: Graph, plans: Sequence[Plan], progress: Report = no_report) -> Plan:
    """Of plans that make the same layers sparse, each layer's fastest variant.

    Args:
        session: where the kernels run, those that a build for its profile would choose.
        graph: the network; weights are random.
        plans: at least one.
        progress: told what is going on.

    Raises:
        FleetposeError: a layer has no variant that runs.
    """
    first, tuned = plans[0], load_tuned(session.profile)
    planes = assign_layout(graph, session.profile.lanes).planes
    known: dict[tuple, tuple[Sparsity, str]] = {}
    chosen: dict[str, tuple[Sparsity, str]] = {}
    for name in first.sparsities:
        variants = tuple(dict.fromkeys(plan.sparsities[name] for plan in plans))
        dense = Workload.of(graph.layer(name), planes)
        work = (Key.of(dense), variants)
        if work not in known:
            progress(f"{graph.name}: families of zeros for {name}")
            known[work] = _fastest(session, dense, variants, tuned)
        chosen[name] = known[work]
    sparsities = {name: sparsity for name, (sparsity, _) in chosen.items()}
    reasons = {name: f"{first[name].reason}; {why}".lstrip("; ") for name, (_, why) in chosen.items()}
    return Plan.of(first.model, graph.layers, sparsities, reasons)


def _fastest(session: Session, dense: Workload, variants: Sequence[Sparsity], tuned: Tuned) -> tuple[Sparsity, str]:
    """One of `variants` for a layer, and the reason."""
    if len(variants) == 1:
        return variants[0], ""
    calls = {str(sparsity): _call(session, replace(dense, sparsity=sparsity), tuned) for sparsity in variants}
    measurements = measure_interleaved(session, calls, ROUNDS, warmup=1, clock="wall").measurements
    times = {
        name: float(np.median(measurement.wall_secs)) for name, measurement in measurements.items() if measurement.ok
    }
    if not times:
        raise FleetposeError(f"no variant of {dense.label} was timed: {next(iter(measurements.values())).error}")
    best = min(times, key=lambda name: times[name])
    return Sparsity.parse(best), f"{1e3 * times[best]:.3f} ms, the fastest of {len(times)} variants"


def _call(session: Session, workload: Workload, tuned: Tuned) -> TimedCall:
    inputs, weights = random_operands(workload.layer, 0)
    choice = tuned.choice(workload, session.profile)
    host = host_for(session.profile, session)
    compiled = compile_layer(workload, weights.pruned(workload.sparsity), session.profile, host, choice)
    return TimedCall(**LoadedLayer(compiled, session).call_arguments(inputs))
