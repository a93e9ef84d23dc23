"""Times of the zoo's layers, as records that `latency.fit` learns from and is judged by.

How well are layers of networks predicted that nobody has timed?

    python -m benchmarks.zoo_layers --scale 4 -o zoo.jsonl
    python -m latency.fit --data zoo.jsonl --split network -o zoo.predictor

The zoo's networks are small; at a multiple of their sizes their layers take times that are worth predicting. Networks
that cannot be made at such a size are left out and named. `--moving` takes the layers alone that multiply nothing:
pools, resizes, elementwise ones, rearrangements, reductions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.engines.any_module import traced_module
from codegen.tuning.database import load_tuned
from devices import open_device
from devices.session import Session
from fleetpose import cli
from fleetpose.errors import FleetposeError, first_line
from fleetpose.options import COUNT
from fleetpose.progress import Report, status
from latency.planning.options import read_sparsities
from latency.profiling.collector import Collector, collect
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Patience
from latency.profiling.space import Group, network_groups
from latency.records.journal import Journal
from models.graph.network import Graph
from models.plans.sparsity import Sparsity
from tests.zoo.catalogue import ZOO, create_zoo


def zoo_graphs(names: Sequence[str], scale: int, report: Report) -> Iterator[Graph]:
    """Networks of the zoo at `scale` times their sizes; what cannot be made at that is said on stderr."""
    for done, name in enumerate(names):
        report(f"tracing {name}", done, len(names))
        channels, height, width = ZOO[name].shape
        try:
            yield from traced_module(name, create_zoo(name), (channels, scale * height, scale * width)).graphs
        except (FleetposeError, RuntimeError) as error:  # a network of one size, say with learned positions
            print(f"{name} is left out at {scale} times its size: {first_line(error)}", file=sys.stderr)


def zoo_groups(graphs: Sequence[Graph], session: Session, sparsities: Sequence[Sparsity], moving: bool) -> list[Group]:
    """The distinct layers of the networks under the zeros to time; with `moving` those alone that multiply nothing."""
    groups = network_groups(graphs, session.profile, sparsities or [None])
    return [group for group in groups if not (moving and group.workload.layer.macs)]


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.zoo_layers", "Times of the zoo's layers on this machine, for latency.fit.")
    parser.add_argument("--network", nargs="+", choices=list(ZOO), metavar="NAME", help="of the zoo (default: all)")
    parser.add_argument("--scale", type=COUNT, default=4, help="times a network's size (default: %(default)s)")
    parser.add_argument("--moving", action="store_true", help="only layers that multiply nothing")
    parser.add_argument("--rounds", type=COUNT, default=7, help="samples of each variant (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="records (.jsonl) to extend")
    parser.add_argument(
        "--sparsity", nargs="+", default=[], metavar="TEXT", help="to time besides dense, e.g. columns:0.75:4x1"
    )
    return parser


def main(arguments: argparse.Namespace) -> int:
    with status("zoo") as progress, Journal(arguments.out) as journal, open_device("host") as session:
        graphs = list(zoo_graphs(arguments.network or list(ZOO), arguments.scale, progress))
        groups = zoo_groups(graphs, session, read_sparsities(arguments.sparsity), arguments.moving)
        recipe = Recipe(session.profile, load_tuned(session.profile, None).choice)
        settings = RunSettings(arguments.rounds, patience=Patience(wait_secs=20.0))
        collection = collect(Collector(journal, recipe, settings, progress), session, groups)
    if collection.stopped is not None:
        raise collection.stopped
    said = {"records": collection.records, "measured": collection.measured, "failed": dict(collection.failed)}
    if arguments.json:
        cli.print_json(said)
    else:
        print(", ".join(f"{name} {value}" for name, value in said.items()))
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
