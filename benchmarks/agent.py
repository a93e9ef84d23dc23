"""The agent against `devices.serve` on the same kernels of this machine, interleaved: `python -m benchmarks.agent`.

Both are on offer at one tracker and have a session at the same time. Of each layer, and of a whole network, samples are
taken in turn, A B and then B A, by OpenCL's events and by the wall clock of the machine that launches. A small kernel
shows what a launch costs besides its kernel, and what a call and a megabyte cost over the connection.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
import tvm

from codegen.building.traced import trace_network
from codegen.lowering.compile import compile_network
from codegen.lowering.hosts import host_for
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.lowering.network import Options
from devices import open_device
from devices.rpc.loopback import KEY, Loopback
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import pool_ratios
from fleetpose import cli
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import FleetposeError, UsageError
from fleetpose.progress import Report, status
from models.graph.layer import Layer
from runtime.agent import build_agent, own_host
from runtime.package import opencl_libraries

Given, Value = TypeVar("Given"), TypeVar("Value")

AGENT_KEY = "agent"
SIZE = (64, 64)
#: layers that are timed: as many as are different in how they are computed
LAYERS = 4
SAMPLE_SECS = 0.02
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class AgentRow:
    """One thing that was timed behind both.

    Attributes:
        name: what. clock: "event" or "wall", or "client" for this process's.
        serve_us, agent_us: medians in microseconds.
        ratio: agent over serve, median of the rounds; low, high: its interval.
    """

    name: str
    clock: str
    serve_us: float
    agent_us: float
    ratio: float
    low: float
    high: float


@contextmanager
def both_devices() -> Iterator[dict[str, Session]]:
    """Sessions by "serve" and "agent", on the same OpenCL device. Raises UsageError where the agent does not run."""
    host = own_host()
    if host is None:
        raise UsageError("the agent runs on Linux on x86-64 or arm64; time it there")
    loopback = Loopback()
    with ExitStack() as stack, WorkFolder() as folder:
        stack.callback(loopback.close)
        program = build_agent(host, folder)
        environment = {**os.environ, "FLEETPOSE_LIBOPENCL": opencl_libraries(None)[0] or ""}
        command = [
            str(program),
            "--tracker",
            str(loopback.address),
            "--key",
            AGENT_KEY,
            "--folder",
            str(folder / "work"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        os.environ["TVM_TRACKER_HOST"], os.environ["TVM_TRACKER_PORT"] = "127.0.0.1", str(loopback.address.port)
        keys = {"serve": KEY, "agent": AGENT_KEY}
        yield {name: stack.enter_context(open_device(f"rpc:{key}")) for name, key in keys.items()}


def in_turn(takes: Mapping[str, Callable[[], Value]], rounds: int) -> dict[str, list[Value]]:
    """So many samples of each, A B and then B A."""
    taken: dict[str, list[Value]] = {key: [] for key in takes}
    for number in range(rounds):
        for key in list(takes) if number % 2 else reversed(list(takes)):
            taken[key].append(takes[key]())
    return taken


def row_of(name: str, clock: str, secs: Mapping[str, Sequence[float]]) -> AgentRow:
    """A row of the seconds of each round. Raises FleetposeError where a sample has no time."""
    if not all(value for taken in secs.values() for value in taken):
        raise FleetposeError(f"{name}: a sample has no {clock} time")
    ratio = pool_ratios([[agent / serve for agent, serve in zip(secs["agent"], secs["serve"], strict=True)]], 0)
    medians = {key: 1e6 * statistics.median(taken) for key, taken in secs.items()}
    return AgentRow(name, clock, medians["serve"], medians["agent"], ratio.median, ratio.low, ratio.high)


def time_calls(
    name: str, sessions: Mapping[str, Session], calls: Mapping[str, TimedCall], rounds: int
) -> list[AgentRow]:
    """A row for each clock of the device's."""
    timers = {key: session.timer(calls[key]) for key, session in sessions.items()}
    for timer in timers.values():
        timer.warm(2)
    trials = [timer.samples(1, 1)[0].wall_secs or 0.0 for timer in timers.values()]
    number = max(1, round(SAMPLE_SECS / max(*trials, 1e-6)))
    samples = in_turn({key: _bound(lambda timer: timer.samples(number, 1)[0], timers[key]) for key in timers}, rounds)
    clocks = ("event", "wall")
    secs = {
        clock: {key: [getattr(sample, f"{clock}_secs") for sample in taken] for key, taken in samples.items()}
        for clock in clocks
    }
    return [row_of(name, clock, secs[clock]) for clock in clocks]


def layer_call(layer: Layer, session: Session) -> TimedCall:
    """A layer's kernels on a session's device, ready to be timed."""
    workload = standalone_planes(layer, session.profile.lanes_of("float32"))
    inputs, weights = random_operands(layer, 0)
    host = host_for(session.profile, session)
    compiled = compile_layer(workload, weights, session.profile, host)
    return TimedCall(**LoadedLayer(compiled, session).call_arguments(inputs))


def connection_rows(sessions: dict[str, Session], rounds: int) -> list[AgentRow]:
    """What a look-up, and a megabyte there and back, take this process."""

    def look_up(session: Session) -> float:
        started = time.perf_counter()
        session.function("no.such.function")
        return time.perf_counter() - started

    def move(session: Session) -> float:
        given = np.zeros(MEGABYTE, np.uint8)
        started = time.perf_counter()
        tvm.runtime.tensor(given, session.device).numpy()
        return time.perf_counter() - started

    return [
        row_of(name, "client", in_turn({key: _bound(take, session) for key, session in sessions.items()}, rounds))
        for name, take in (("look-up", look_up), ("1 MiB there and back", move))
    ]


def _bound(take: Callable[[Given], Value], given: Given) -> Callable[[], Value]:
    return lambda: take(given)


def compare(model: str, rounds: int, report: Report) -> list[AgentRow]:
    """All rows: the connection, some layers of a network, and the network."""
    graph = trace_network(model, sizes=[SIZE]).graphs[0]
    layers = {layer.op + str(layer.weight_shape): layer for layer in graph.layers if layer.op == "conv"}
    with both_devices() as sessions:
        rows = connection_rows(sessions, rounds)
        for layer in [*layers.values()][:LAYERS]:
            report(f"timing {layer.name}")
            calls = {key: layer_call(layer, session) for key, session in sessions.items()}
            rows += time_calls(layer.name, sessions, calls, rounds)
        report(f"timing {model}")
        networks = {}
        for key, session in sessions.items():
            compiled = compile_network([graph], session.profile, Options(), host_for(session.profile, session))
            networks[key] = compiled.load(session)
        return rows + time_calls(f"{model} at {SIZE[0]}x{SIZE[1]}", sessions, networks, rounds)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.agent", "Time the same kernels behind the agent and behind devices.serve, in turn.")
    parser.add_argument("--model", default="lwop", help="network whose layers are timed (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=31, help="samples of each (default: %(default)s)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    with status("benchmark") as progress:
        rows = compare(arguments.model, arguments.rounds, progress)
    if arguments.json:
        cli.print_json({"rows": [asdict(row) for row in rows]})
        return 0
    for row in rows:
        print(f"{row.name} ({row.clock}): serve {row.serve_us:.1f} us, agent {row.agent_us:.1f} us, "
              f"ratio {row.ratio:.3f} ({row.low:.3f} to {row.high:.3f})")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
