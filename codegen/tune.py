"""Find the best schedule of every layer of a network on a device, by measuring: `python -m codegen.tune`.

What is found goes into the profile's tuned data (`codegen.tuning.database`), workload by workload: stopping loses only
the workload at hand, and starting again goes on behind it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from codegen.inspection.chips import chip_for
from codegen.inspection.compilers import load_compilers
from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.hosts import add_target_host, host_for
from codegen.lowering.sizes import check_sizes, trace_models
from codegen.schedules import RULES
from codegen.tuning.database import METASCHEDULE, Tuned, TunedRow, tuned_path
from codegen.tuning.prefilter import prefilter
from codegen.tuning.tasks import Task, tasks_of
from codegen.tuning.tuner import TuneSettings, tune
from devices import open_device
from devices.opening import check_runs_kernels
from devices.timing.cooling import CoolingSettings
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.files import check_writable
from fleetpose.options import add_flags, from_arguments, whole
from fleetpose.outputs import check_outputs
from fleetpose.progress import status
from fleetpose.trust import add_trust_flag
from models.plans.sparsity import parse_variant
from models.resolve import MODEL_HELP, model_files, model_spec


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.tune", "Measure every candidate schedule of a network's layers and keep the best.")
    parser.add_argument("--model", nargs="+", required=True, help=f"networks, each {MODEL_HELP}")
    add_trust_flag(parser)
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
    add_flags(parser, TuneSettings)
    add_flags(parser, CoolingSettings)
    parser.add_argument(
        "--prefilter", type=whole(1), metavar="N",
        help="time the default and the N other candidates that a phone GPU's compiler makes fewest cycles of, see "
        "docs/inspect.md (default: --share decides)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="tuned data to extend (default: the profile's)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    check_runs_kernels(arguments.device)
    inputs = {"--model": [path for name in arguments.model for path in model_files(name)],
              "--profile": arguments.profile}  # fmt: skip
    check_outputs({}, inputs, kept={"--out": arguments.out})
    settings = from_arguments(TuneSettings, arguments, cooling=from_arguments(CoolingSettings, arguments))
    sparsities = [parse_variant(text) for text in arguments.sparsity]
    if settings.tuner == METASCHEDULE and arguments.prefilter:
        raise UsageError("--tuner metaschedule has no candidates to choose from; leave --prefilter out")
    if settings.tuner == METASCHEDULE and any(sparsities):
        raise UsageError("--tuner metaschedule knows dense convolutions only; leave --sparsity out")
    for model in arguments.model:
        check_sizes(model_spec(model), arguments.size)
    with status("tuning") as progress, open_device(arguments.device, arguments.profile) as session:
        profile, out = session.profile, arguments.out or tuned_path(session.profile.name)
        check_writable(out, force=True)
        progress("tracing")
        graphs = trace_models(arguments.model, arguments.size)
        tasks = tasks_of(graphs, profile, sparsities, arguments.dtype, arguments.layer)
        if settings.tuner == METASCHEDULE:
            tasks = [task for task in tasks if task.workload.layer.op == "conv"]
        if arguments.prefilter:
            chip, compilers = chip_for(profile), load_compilers()
            tasks = prefilter(tasks, arguments.prefilter, profile, compilers, chip, progress)
            settings = replace(settings, share=1.0)  # those that are left are few already
        if not tasks:
            raise UsageError("nothing to tune: no layer has more than one candidate under these flags")
        host = host_for(profile, session, arguments.host)
        tuning = tune(session, tasks, out, settings, host, progress)
    tuned, measured, left = tuning.tuned, tuning.measured, tuning.left
    if arguments.json:
        rows = [encode(row) for task in tasks if (row := tuned.row(task.workload, settings.tuner))]
        cli.print_json({"profile": profile.name, "file": str(out), "rows": rows, "measured": measured, "left": left})
    else:
        print_summary(tasks, tuned)
        print(f"{out}: {measured} workloads measured, {len(tasks) - left} of {len(tasks)} there")
    if tuning.stopped:
        print("interrupted; the same command goes on from here", file=sys.stderr)
    elif left:
        print(f"{left} workloads are left, or have no working candidate; the same command goes on", file=sys.stderr)
    return 130 if tuning.stopped else 0


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
