"""The measured latency of a Graph on a device: the plain function that `models.depth` and `models.replace` take."""

from __future__ import annotations

from collections.abc import Callable

from codegen.lowering.compile import compile_network
from codegen.lowering.hosts import host_for
from codegen.lowering.network import Options
from codegen.tuning.database import load_tuned
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import measure_interleaved
from devices.timing.measure import measure
from fleetpose.errors import FleetposeError
from models.graph.network import Graph


def measured_latency(session: Session, repeats: int = 20) -> Callable[[Graph], float]:
    """A function that compiles a graph for the session's device, runs it there, and answers seconds per inference.

    The first graph it is asked about stays loaded, and each later one is timed in turn with it (A B, B A): between two
    timings that are minutes apart, a device's clocks wander by more than a replaced operator saves. The answer for a
    later graph is the first one's seconds divided by the median ratio of the rounds, so that two answers differ by what
    their graphs differ.

    Args:
        session: an open device session; must outlive the function.
        repeats: timed inferences of each, inputs and outputs on the device.

    The function raises FleetposeError where a graph fails to run there.
    """
    options = Options(choose=load_tuned(session.profile).choice)
    first: list[tuple[TimedCall, float]] = []

    def latency_of(graph: Graph) -> float:
        call = compile_network([graph], session.profile, options, host_for(session.profile, session)).load(session)
        if not first:
            timing = measure(session, call.function, entry=call.entry, repeats=repeats)
            if timing.wall_median_secs is None:
                raise FleetposeError(f"{graph.name} was not timed: {timing.error}")
            first.append((call, timing.wall_median_secs))
            return timing.wall_median_secs
        reference, secs = first[0]
        result = measure_interleaved(session, {"first": reference, "this": call}, repeats, clock="wall")
        for measurement in result.measurements.values():
            if not measurement.ok:
                raise FleetposeError(f"{graph.name} was not timed: {measurement.error}")
        return secs / result.ratios["this"].median

    return latency_of
