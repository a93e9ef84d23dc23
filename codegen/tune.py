"""Find the best schedule of every layer of a network on a device, by measuring: `python -m codegen.tune`.

What is found goes into the profile's tuned data (`codegen.tuning.database`), workload by workload: stopping loses only
the workload at hand, and starting again goes on behind it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.hosts import add_target_host, host_for
from codegen.lowering.sizes import check_sizes, trace_sizes
from codegen.schedules import RULES
from codegen.tuning.database import CANDIDATES, METASCHEDULE, Tuned, TunedRow, tuned_path
from codegen.tuning.tasks import Task, tasks_of
from codegen.tuning.tuner import Tuner
from devices import open_device
from devices.opening import check_runs_kernels
from devices.profile import Profile
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.files import check_writable
from fleetpose.progress import status
from models.plans.sparsity import Sparsity, parse_variant
from models.resolve import MODEL_HELP, model_spec


def tasks_for(arguments: argparse.Namespace, profile: Profile) -> list[Task]:
    """The tasks that --model, --size, --sparsity and --layer name. Raises UsageError for what is none of them."""
    graphs = []
    for model in arguments.model:
        spec = model_spec(model)
        sizes = arguments.size or [spec.size]
        check_sizes(spec, sizes)
        graphs += trace_sizes(model, None, 0, sizes)
    sparsities: list[Sparsity | None] = [parse_variant(text) for text in arguments.sparsity]
    if arguments.tuner == METASCHEDULE and any(sparsities):
        raise UsageError("--tuner metaschedule knows dense convolutions only; leave --sparsity out")
    tasks = tasks_of(graphs, profile, sparsities, arguments.dtype, arguments.layer)
    if arguments.tuner == METASCHEDULE:
        tasks = [task for task in tasks if task.workload.layer.op == "conv"]
    if not tasks:
        raise UsageError("nothing to tune: no layer has more than one candidate under these flags")
    return tasks


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.tune", "Measure every candidate schedule of a network's layers and keep the best.")
    parser.add_argument("--model", nargs="+", required=True, help=f"networks, each {MODEL_HELP}")
    parser.add_argument("--device", default="host", help="device that times them: host or rpc:KEY")
    parser.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    add_target_host(parser)
    parser.add_argument(
        "--size",
        type=cli.image_size,
        nargs="+",
        default=[],
        metavar="HxW",
        help="input sizes (default: each model's own)",
    )
    parser.add_argument(
        "--sparsity", nargs="+", default=["dense"], metavar="TEXT",
        help="tune each convolution under these: dense, block_punched:0.75:8x4, ...",
    )  # fmt: skip
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="of activations and weights")
    parser.add_argument("--layer", nargs="+", default=[], help="layers to tune (default: all)")
    parser.add_argument("--budget-secs", type=float, metavar="N", help="begin no candidate after so many seconds")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of the interleaved run that decides")
    parser.add_argument("--tuner", choices=(CANDIDATES, METASCHEDULE), default=CANDIDATES, help="what is tried")
    parser.add_argument("--trials", type=int, default=64, help="programs per layer of --tuner metaschedule")
    parser.add_argument("--out", type=Path, metavar="FILE", help="tuned data to extend (default: the profile's)")
    parser.add_argument("--force", action="store_true", help="measure again what the file has")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random operands")
    return parser


def main(arguments: argparse.Namespace) -> int:
    check_runs_kernels(arguments.device)
    if arguments.rounds < 1 or arguments.trials < 1:
        raise UsageError("--rounds and --trials are at least 1")
    for model in arguments.model:
        model_spec(model)  # a wrong name is said before a device is opened
    if arguments.out:
        check_writable(arguments.out, force=True)
    interrupted = False
    with status("tuning") as progress, open_device(arguments.device, arguments.profile) as session:
        profile, out = session.profile, arguments.out or tuned_path(session.profile.name)
        check_writable(out, force=True)
        tuner = Tuner(
            session, out, arguments.tuner, arguments.trials, arguments.rounds,
            arguments.seed, arguments.budget_secs, arguments.force,
            host_for(profile, session.on_this_machine, arguments.host),
        )  # fmt: skip
        progress("tracing")
        tasks = tasks_for(arguments, profile)
        try:
            tuner.run(tasks, progress)
        except KeyboardInterrupt:
            interrupted = True
    tuned = Tuned.load(out.absolute()) if out.exists() else Tuned()
    left = sum(not tuner.is_done(task, tuned) for task in tasks)
    if arguments.json:
        rows = [encode(row) for task in tasks if (row := tuned.row(task.workload, arguments.tuner))]
        cli.print_json(
            {"profile": profile.name, "file": str(out), "rows": rows, "measured": tuner.measured, "left": left}
        )
    else:
        print_summary(tasks, tuned)
        print(f"{out}: {tuner.measured} workloads measured, {len(tasks) - left} of {len(tasks)} there")
    if interrupted:
        print("interrupted; the same command goes on from here", file=sys.stderr)
    elif left:
        print(f"{left} workloads are left, or have no working candidate; the same command goes on", file=sys.stderr)
    return 130 if interrupted else 0


def print_summary(tasks: list[Task], tuned: Tuned) -> None:
    """A table of what is known of each task: the default, the best, the gain, and MetaSchedule's program if it ran."""
    table = []
    stock = [tuned.row(task.workload, METASCHEDULE) for task in tasks]
    for task, other in zip(tasks, stock, strict=True):
        row = tuned.row(task.workload)
        more = len(task.layers) - 1
        cells = [task.layers[0] + (f" +{more}" if more else ""), task.workload.label]
        cells += _cells(row) if row else ["-"] * 5
        table.append(cells + ([f"{other.ms:.3f}" if other else "-"] if any(stock) else []))
    header = ["layer", "workload", "default", "ms", "best", "ms", "gain"]
    cli.print_table(header + (["MetaSchedule ms"] if any(stock) else []), table)


def _cells(row: TunedRow) -> list[str]:
    default = "failed" if row.default_ms is None else f"{row.default_ms:.3f}"
    gain = "-" if row.ratio is None else f"{row.ratio:.2f}"
    names = [str(ScheduleChoice.from_dict(choice, RULES)) for choice in (row.default, row.best)]
    return [names[0], default, names[1], f"{row.ms:.3f}", gain]


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
