"""Other engines on a frontier's picture: `python -m benchmarks.frontier DIR`, DIR of `latency.optimize --frontier`.

The artifacts of all plans, the dense one and each engine, dense, are timed in one interleaved run, as in
`benchmarks.networks`. An engine's milliseconds are the frontier's dense time divided by how many times as fast it was
in the same rounds. frontier.json and frontier.png get them; `peers.json` has all ratios, those of the plans among them.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import ENGINES, EngineJob, engine, engine_versions, prepare
from benchmarks.network_comparison import REST_SECS
from benchmarks.networks import pocl_threads
from codegen.artifact.loaded import Artifact
from devices import open_device
from devices.timers import TimedCall
from devices.timing.interleaved import measure_interleaved
from fleetpose import cli
from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError, reason
from fleetpose.files import read_json, write_json
from fleetpose.progress import Report, status
from latency.optimize.frontier.curve import FrontierPoint
from latency.optimize.frontier.gathering import FORMAT, FRONTIER, PICTURE
from latency.optimize.frontier.picture import plot_frontier
from latency.report.result import read_result
from models.resolve import create_model

log = logging.getLogger("benchmarks.frontier")

PEERS = "peers.json"
#: engines that are no reference of speed
LEFT_OUT = ("ours", "stock_tvm")


def time_beside(
    folder: Path, points: Sequence[FrontierPoint], engines: Sequence[str], threads: int, rounds: int, report: Report
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Times as fast as the dense artifact, by network or engine, with intervals; and why engines are missing.

    Args:
        folder: of the frontier.
        points: the dense network first.
    """
    result = read_result(folder / points[1].name)
    height, width = result["size"]
    tensor = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3, height, width)).astype(np.float32)
    failures: dict[str, str] = {}
    with pocl_threads(threads), open_device("host") as session:
        artifacts = {point.name: Artifact(folder / point.artifact, session) for point in points}
        calls: dict[str, TimedCall] = {}
        for name, artifact in artifacts.items():
            arguments = artifact.call_arguments(tensor)
            calls[name] = TimedCall(arguments["function"], (), arguments["entry"])
        job = EngineJob(result["model"], create_model(result["model"], result["weights"]), tensor, threads, session)
        for name in engines:
            report(f"preparing {name}")
            try:
                calls[name] = prepare(name, job).call
            except Exception as error:  # whatever ails an engine is its row's text
                log.debug("%s", name, exc_info=True)
                failures[name] = reason(error)
        report(f"timing {', '.join(calls)}")
        timing = measure_interleaved(session, calls, rounds, number=1, clock="wall", rest_secs=REST_SECS)
    ratios = {
        name: {"median": ratio.median, "low": ratio.low, "high": ratio.high} for name, ratio in timing.ratios.items()
    }
    return ratios, failures


def with_peers(
    content: Mapping[str, Any], points: Sequence[FrontierPoint], ratios: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """frontier.json with the engines that were timed, the fastest first."""
    ours = {point.name for point in points}
    peers = [
        {"name": name, "ms": points[0].ms[0] / ratio["median"], "speedup": ratio["median"]}
        for name, ratio in ratios.items() if name not in ours
    ]  # fmt: skip
    return {**content, "peers": sorted(peers, key=lambda peer: peer["ms"])}


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.frontier", "Time other engines beside a frontier's artifacts, and draw them.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of latency.optimize --frontier")
    names = [name for name in ENGINES if name not in LEFT_OUT]
    parser.add_argument("--engine", nargs="+", default=names, metavar="ENGINE", help="engines")
    parser.add_argument("--threads", type=int, default=2, help="of every engine")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each")
    return parser


def main(arguments: argparse.Namespace) -> int:
    for name in arguments.engine:
        engine(name)
    if arguments.rounds < 1 or arguments.threads < 1:
        raise UsageError("--rounds and --threads are at least 1")
    content = read_json(arguments.folder / FRONTIER, "frontier", FORMAT, "latency.optimize --frontier writes it")
    points = decode(list[FrontierPoint], content["points"], FRONTIER)
    with status("benchmark") as progress:
        ratios, failures = time_beside(
            arguments.folder, points, arguments.engine, arguments.threads, arguments.rounds, progress
        )
    content = with_peers(content, points, ratios)
    write_json(arguments.folder / FRONTIER, content, force=True)
    plot_frontier(arguments.folder / PICTURE, content, points)
    facts = {"times_as_fast": ratios, "failures": failures, "versions": engine_versions(arguments.engine)}
    write_json(arguments.folder / PEERS, encode(facts), force=True)
    if arguments.json:
        cli.print_json(facts)
    else:
        rows = [
            (name, f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})")
            for name, ratio in ratios.items()
        ]
        cli.print_table(("network", "times as fast as ours, dense"), [*rows, *failures.items()])
        print(f"\n{arguments.folder / PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
