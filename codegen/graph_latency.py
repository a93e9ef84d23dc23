"""The measured latency of a Graph on a device: the plain function that `models.depth` and `models.replace` take."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.runtime.vm import VirtualMachine

from codegen.linking.link import export_shared
from codegen.lowering.network import NetworkModule, Options, lower_network
from codegen.lowering.target import make_target
from codegen.tuning.database import Tuned, tuned_for
from devices.session import Session
from devices.timing.measure import measure
from devices.timing.timers import Call
from fleetpose.errors import FleetposeError
from fleetpose.interrupt import kept_interrupt
from models.graph.network import Graph


def measured_latency(
    session: Session, repeats: int = 20, host: str = "native", tuned: Tuned | None = None
) -> Callable[[Graph], float]:
    """A function that compiles a graph for the session's device, runs it there, and answers seconds per inference.

    Args:
        session: an open device session; must outlive the function.
        repeats: timed inferences; the answer is the least of their wall times, inputs and outputs on the device.
            Graphs are timed minutes apart here, not interleaved, and the least time is the one least disturbed.
        host: the processor that serves the device, a key of codegen.lowering.hosts.HOSTS.
        tuned: tuned data to choose schedules by; that of the session's profile without.

    The function raises FleetposeError where a graph fails to run there.
    """

    options = Options(choose=(tuned_for(session.profile) if tuned is None else tuned).choice)

    @kept_interrupt()
    def latency_of(graph: Graph) -> float:
        lowered = lower_network([graph], session.profile, options)
        executable = tvm.compile(lowered.module, make_target(session.profile, host))
        call = loaded_network(session, lowered, executable, host)
        timing = measure(session, call.function, entry=call.entry, repeats=repeats)
        if not timing.ok:
            raise FleetposeError(f"{graph.name} was not timed: {timing.error}")
        return min(timing.wall_secs)

    return latency_of


def loaded_network(session: Session, lowered: NetworkModule, executable: Any, host: str = "native") -> Call:
    """A compiled network on the session's device, its first input size ready to be timed on an input of zeros.

    Args:
        lowered: the network; `executable`: what `tvm.compile` made of its module.
        host: the processor that serves the device, a key of codegen.lowering.hosts.HOSTS.

    Raises DeviceUnreachable where the device goes away.
    """
    with tempfile.TemporaryDirectory(prefix="fleetpose-network-") as folder:
        path = Path(folder) / "network.so"
        export_shared(executable, path, host)
        module = session.load(path)
    entry = lowered.entries[0]
    with session.guard("preparing the network"):
        machine = VirtualMachine(module, session.device, "naive" if lowered.textures else None)
        tensor = tvm.runtime.tensor(np.zeros(entry.input.shape, np.float32), session.device)
        machine.save_function(entry.name, "timed", tensor, include_return=False)
    return Call(machine, (), "timed")
