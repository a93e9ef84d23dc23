"""The measured latency of a Graph on a device: the plain function that `models.depth` and `models.replace` take."""

from __future__ import annotations

from collections.abc import Callable

from codegen.lowering.compile import compile_network
from codegen.lowering.network import Options
from codegen.tuning.database import load_tuned
from devices.session import Session
from devices.timing.measure import measure
from fleetpose.errors import FleetposeError
from models.graph.network import Graph


def measured_latency(session: Session, repeats: int = 20) -> Callable[[Graph], float]:
    """A function that compiles a graph for the session's device, runs it there, and answers seconds per inference.

    Args:
        session: an open device session; must outlive the function.
        repeats: timed inferences; the answer is the least of their wall times, inputs and outputs on the device.
            Graphs are timed minutes apart here, not interleaved, and the least time is the one least disturbed.

    The function raises FleetposeError where a graph fails to run there.
    """
    options = Options(choose=load_tuned(session.profile).choice)

    def latency_of(graph: Graph) -> float:
        call = compile_network([graph], session.profile, options).load(session)
        timing = measure(session, call.function, entry=call.entry, repeats=repeats)
        if not timing.ok:
            raise FleetposeError(f"{graph.name} was not timed: {timing.error}")
        return min(timing.wall_secs)

    return latency_of
