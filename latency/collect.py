"""Time layers and networks on a device, for the latency model to learn from: `python -m latency.collect`.

Everything goes into one file of records (`latency.records.read`), run by run: stopping loses only the run at hand, and
run the same command again to resume. Several devices of a kind behind one tracker key share the work (`--workers`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.lowering.hosts import add_target_host, host_for
from codegen.lowering.sizes import check_sizes, trace_models
from codegen.tuning.database import load_tuned
from devices import open_device
from devices.opening import check_runs_kernels
from devices.profile import ITEM_BYTES
from devices.session import Session
from devices.timing.cooling import CoolingSettings
from devices.timing.measure import device_of
from fleetpose import cli
from fleetpose.errors import DeviceUnreachable, UsageError
from fleetpose.options import COUNT, POSITIVE, SEED, add_flags, from_arguments, real, whole
from fleetpose.outputs import check_outputs
from fleetpose.progress import Report, status
from fleetpose.trust import add_trust_flag
from latency.cost_model.adaptation.adapting import NewDevice, choose_samples
from latency.cost_model.adaptation.transfer import load_bases
from latency.cost_model.box.shipped import find_predictor, names
from latency.dataset.candidates import of_workload
from latency.dataset.hardware import Hardware
from latency.dataset.observations import sample_of_record
from latency.dataset.sample import OWN
from latency.profiling.active import by_telling, by_worth
from latency.profiling.around import sample_around
from latency.profiling.collector import Collection, Collector, Order, collect
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.network_timing import network_variants
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Patience
from latency.profiling.space import Group, network_groups, with_plans
from latency.records.journal import Journal
from models.graph.network import Graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity, parse_variant
from models.resolve import MODEL_HELP, model_files, model_spec

#: of --active: how many times as many sampled layers as --around are candidates
CANDIDATES = 8


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.collect", "Time layers, dense and sparse, on a device and keep each as a record.")
    parser.add_argument("--model", nargs="+", required=True, help=f"networks whose layers are timed, each {MODEL_HELP}")
    add_trust_flag(parser)
    parser.add_argument("--size", type=cli.image_size, nargs="+", default=[], metavar="HxW",
                        help="input sizes (default: each model's own)")  # fmt: skip
    parser.add_argument(
        "--sparsity", nargs="+", default=[], metavar="TEXT",
        help="time each convolution under these besides dense, e.g. columns:0.75:8x1, or 'dense' for nothing else "
        "(default: a set that covers blocks and zeros)",
    )  # fmt: skip
    parser.add_argument("--layer", nargs="+", default=[], help="only layers of these names (default: all)")
    parser.add_argument("--around", type=whole(), default=0, metavar="N",
                        help="also time N layers between and around those of the networks")  # fmt: skip
    parser.add_argument("--networks", action="store_true", help="also time the whole networks")
    parser.add_argument("--sustained", type=POSITIVE, metavar="MINUTES",
                        help="with --networks: run each on for so many minutes, first and last apart")  # fmt: skip
    parser.add_argument("--plan", type=Path, nargs="+", default=[], metavar="FILE",
                        help="also time layers, and with --networks networks, as these plans have them")  # fmt: skip
    parser.add_argument("--device", default="host", help="host, rpc:KEY, or null for pseudo times")
    parser.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    add_target_host(parser)
    parser.add_argument("--workers", type=whole(1, 1024), default=1, metavar="N",
                        help="devices behind rpc:KEY that share the work")  # fmt: skip
    parser.add_argument("--dtype", nargs="+", choices=tuple(ITEM_BYTES), default=["float32"], help="element types")
    parser.add_argument("--tuned", metavar="FILE", help="tuned data, or none (default: that of the profile)")
    parser.add_argument("--budget-secs", type=real(), metavar="S", help="begin no run after so many seconds")
    parser.add_argument("--rounds", type=COUNT, default=15, metavar="N",
                        help=f"samples of each variant; up to {Patience.extend}N where they scatter")  # fmt: skip
    parser.add_argument("--wait-secs", type=real(), default=20.0, metavar="S",
                        help="how long to wait for a device that has slowed down")  # fmt: skip
    add_flags(parser, CoolingSettings)
    parser.add_argument("--active", nargs="+", default=[], metavar="PREDICTOR",
                        help="begin where this predictor (latency.fit) is least sure of the decision; with "
                        "--budget-secs, the time is spent there; with --few, predictors of other devices, files or "
                        "names in the box")  # fmt: skip
    parser.add_argument("--few", type=COUNT, metavar="N",
                        help="with --active: time only the N runs that tell most of a new device (latency.fit --base); "
                        "what the file has already counts")  # fmt: skip
    parser.add_argument("--seed", type=SEED, default=0, help="seed of operands and of --around")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="records (.jsonl) to extend")
    return parser


def main(arguments: argparse.Namespace) -> int:
    check_files(arguments)
    check_flags(arguments)
    sparsities = [parse_variant(text) for text in arguments.sparsity]
    plans = [Plan.load(path) for path in arguments.plan]
    with (
        status("collecting") as progress,
        Journal(arguments.out) as journal,
        open_device(arguments.device, arguments.profile) as session,
    ):
        progress("tracing")
        graphs = trace_models(arguments.model, arguments.size)
        networks = network_variants(graphs, plans, arguments.dtype)
        groups = make_groups(arguments, graphs, sparsities, plans, session)
        networks = networks if arguments.networks else []
        collector = make_collector(arguments, journal, session, progress)
        collection = collect(collector, session, groups, networks, other_sessions(arguments, session))
        summary = summarise(arguments, collection, session)
    say(arguments, summary)
    if isinstance(collection.stopped, DeviceUnreachable):
        lost = collection.stopped
        raise DeviceUnreachable(f"{lost}\nwhat was measured is kept; the same command goes on from here") from lost
    if collection.stopped is not None:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not go together, before any work."""
    for model in arguments.model:
        check_sizes(model_spec(model), arguments.size)
    if arguments.workers > 1 and not arguments.device.startswith("rpc:"):
        raise UsageError(f"--workers needs several devices behind rpc:KEY; {arguments.device} is one device")
    if arguments.few and not arguments.active:
        raise UsageError(f"--few needs --active: predictors of other devices, such as {' '.join(names())}")
    if len(arguments.active) > 1 and not arguments.few:
        raise UsageError("--active takes one predictor, the device's own; with --few it takes those of other devices")
    if arguments.sustained is not None and not arguments.networks:
        raise UsageError("--sustained is of whole networks; add --networks")
    if arguments.networks:
        check_runs_kernels(arguments.device)


def check_files(arguments: argparse.Namespace) -> None:
    """Raise UsageError for records that cannot be written, would not be read as such, or are a file that is read."""
    if arguments.out.suffix == ".csv":
        raise UsageError(f"records are JSON lines, and {arguments.out.name} would be read as a table; name it *.jsonl")
    predictors = [name for name in arguments.active if name not in names()]
    inputs = {"--model": [path for name in arguments.model for path in model_files(name)], "--plan": arguments.plan,
              "--profile": arguments.profile, "--tuned": arguments.tuned, "--active": predictors}  # fmt: skip
    check_outputs({}, inputs, kept={"-o": arguments.out})


def make_groups(
    arguments: argparse.Namespace,
    graphs: Sequence[Graph],
    sparsities: Sequence[Sparsity | None],
    plans: Sequence[Plan],
    session: Session,
) -> list[Group]:
    """What is to be timed, the networks' layers first. With --active there are more candidates than time."""
    groups = network_groups(graphs, session.profile, sparsities, arguments.dtype, arguments.layer)
    groups = with_plans(groups, graphs, plans, session.profile, arguments.dtype)
    count = arguments.around * (CANDIDATES if arguments.active else 1)
    return groups + sample_around(groups, count, session.profile, arguments.dtype, arguments.seed)


def make_collector(arguments: argparse.Namespace, journal: Journal, session: Session, report: Report) -> Collector:
    """The collector that the flags describe. Raises UsageError for --tuned or --active files that are none."""
    host = host_for(session.profile, session, arguments.host)
    recipe = Recipe(
        session.profile,
        load_tuned(session.profile, arguments.tuned).choice,
        arguments.seed,
        host,
        runs_nothing=not session.runs_kernels,
    )
    patience = Patience(wait_secs=arguments.wait_secs, cooling=from_arguments(CoolingSettings, arguments))
    settings = RunSettings(arguments.rounds, seed=arguments.seed, patience=patience, host=host,
                           sustained=arguments.sustained)  # fmt: skip
    return Collector(journal, recipe, settings, report, arguments.budget_secs,
                     order_of(arguments, recipe, session, journal))  # fmt: skip


def order_of(arguments: argparse.Namespace, recipe: Recipe, session: Session, journal: Journal) -> Order | None:
    """What --active and --few make of the runs that wait."""
    if not arguments.active:
        return None
    if not arguments.few:
        return by_worth(find_predictor(arguments.active[0]), recipe)
    bases, profile = load_bases(arguments.active), session.profile
    device = NewDevice(Hardware.of(profile), session.info.name, {"origin": OWN})

    def choose(kernels: Sequence[tuple[Workload, ScheduleChoice]], count: int) -> list[int]:
        samples = [of_workload(workload, choice, profile.name) for workload, choice in kernels]
        return choose_samples(samples, count, device, bases, timed)

    layers = [record for record in journal.records if record.kind == "layer" and record.ok]
    timed = [sample_of_record(record) for record in layers if record.variant is None]
    return by_telling(choose, recipe, max(0, arguments.few - len({record.group for record in layers})))


def other_sessions(arguments: argparse.Namespace, session: Session) -> list[Callable[[], Session]]:
    """How to open the devices of the workers after the first."""
    return [lambda: open_device(arguments.device, session.profile)] * (arguments.workers - 1)


def summarise(arguments: argparse.Namespace, collection: Collection, session: Session) -> dict[str, Any]:
    """The JSON object the command prints."""
    return {
        "file": str(arguments.out),
        "device": device_of(session),
        "records": collection.records,
        "measured": collection.measured,
        "failed": dict(collection.failed),
        "left": collection.left,
    }


def say(arguments: argparse.Namespace, summary: dict[str, Any]) -> None:
    """The summary, for people or as JSON."""
    if arguments.json:
        cli.print_json(summary)
        return
    failed = ", ".join(f"{count} {kind}" for kind, count in sorted(summary["failed"].items()))
    print(f"{summary['file']}: {summary['measured']} records added, {summary['records']} there, {summary['left']} left")
    if failed:
        print(f"failures among those added: {failed}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
