"""Every kernel of a network's convolutions, layer by layer, interleaved: `python -m benchmarks.kernels`.

For each unique layer: our dense schedules, sparse ones at several ratios, oneDNN through PyTorch, stock TVM. See
docs/benchmarks.md for what is measured and what each number means.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import kernel_out, rows_out
from benchmarks.engines import engine_versions
from benchmarks.kernel_contenders import (
    DEFAULT_FAMILIES,
    Case,
    KernelSelection,
    contenders_of,
    sparsity_of,
    unique_convolutions,
)
from benchmarks.kernel_rows import make_row
from benchmarks.kernel_summary import summary
from benchmarks.kernel_timing import LayerBench
from benchmarks.networks import pocl_threads
from codegen.linking.hosts import LOADERS
from codegen.lowering.hosts import add_target_host, host_for
from codegen.lowering.sizes import trace_sizes
from codegen.schedules import RULES
from codegen.tuning.database import load_tuned
from devices import open_device
from devices.conditions import conditions
from devices.session import Session
from devices.timing.measure import device_of
from devices.timing.measurement import versions
from fleetpose import cli
from fleetpose.errors import UsageError, unknown_name
from fleetpose.progress import Report, no_report, status
from models.resolve import model_spec


def benchmark(
    session: Session,
    cases: Sequence[Case],
    selection: KernelSelection,
    *,
    rounds: int,
    stock: bool,
    host: str = "native",
    report: Report = no_report,
) -> list[dict[str, Any]]:
    """Time all layers, one after the other, each in one interleaved run.

    Args:
        session: where ours and stock TVM run.
        cases, selection: the layers and the kernels.
        rounds: samples of each kernel.
        stock: whether stock TVM is timed, too.
        host: the processor that serves the device.
        report: told what is going on, how many steps are done, and of how many.

    Returns:
        A row per case.
    """
    planned = [contenders_of(case.workload, session.profile, selection) for case in cases]
    total = sum(len(contenders) + 1 for contenders, _ in planned)
    rows, done = [], 0
    for case, (contenders, declined) in zip(cases, planned, strict=True):

        def step(what: str, *_: int, label: str = case.facts.label) -> None:
            nonlocal done
            report(f"{label}: {what}", done, total)
            done += 1

        times = LayerBench(case, session, host).run(contenders, rounds, stock, step)
        times.declined = declined
        rows.append(make_row(times))
    return rows


def result(arguments: argparse.Namespace, cases: Sequence[Case], session: Session, report: Report) -> dict[str, Any]:
    """The JSON object the command prints."""
    peers = arguments.peers and session.on_this_machine
    selection = KernelSelection(
        tuple(dict.fromkeys(arguments.ratio)),
        tuple(dict.fromkeys(arguments.family)),
        frozenset(arguments.schedule),
        arguments.configs,
        peers,
        load_tuned(session.profile, arguments.tuned),
    )
    stock, before = arguments.stock and session.on_this_machine, conditions()
    host = host_for(session.profile, session, arguments.host)
    rows = benchmark(session, cases, selection, rounds=arguments.rounds, stock=stock, host=host, report=report)
    return {
        "model": arguments.model,
        "device": device_of(session),
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "versions": {**versions(), **engine_versions(["torch"])},
        "conditions": {"before": before, "after": conditions()},
        **summary(rows),
        "rows": rows,
    }


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.kernels", "A network's convolutions, kernel by kernel, interleaved, fp32.")
    parser.add_argument("--model", required=True, help="a registered network; weights are random")
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input size, instead of the network's own")
    parser.add_argument("--device", default="host", help="host or rpc:KEY; peers run on host only")
    parser.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    add_target_host(parser)
    parser.add_argument("--threads", type=int, default=2, help="of this machine's OpenCL and of oneDNN")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each kernel; stock TVM gets 3 at most")
    parser.add_argument(
        "--layer", nargs="+", default=[], metavar="PATTERN", help="only these labels, such as 'conv_1x1*'"
    )
    parser.add_argument("--schedule", nargs="+", default=[], metavar="NAME", help="only these of our schedules")
    parser.add_argument(
        "--ratio", nargs="*", type=float, default=[1.5, 2, 4, 8], help="dense / kept weights; none: dense kernels only"
    )
    parser.add_argument(
        "--family", nargs="+", default=list(DEFAULT_FAMILIES), help="sparse ones: a pattern and its block; or pattern"
    )
    parser.add_argument("--configs", type=int, default=1, help="configurations of each schedule; its fastest counts")
    parser.add_argument("--tuned", metavar="FILE", help="tuned data, or none (default: the device's own)")
    parser.add_argument("--no-stock", dest="stock", action="store_false", help="leave stock TVM out")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave oneDNN out")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw them there (needs matplotlib)")
    return parser


def check_flags(arguments: argparse.Namespace) -> None:
    """Raises UsageError for what makes no sense, before any work is done."""
    cores = len(os.sched_getaffinity(0))
    if min(arguments.rounds, arguments.configs) < 1 or not 1 <= arguments.threads <= cores:
        raise UsageError(f"--rounds and --configs are at least 1, --threads 1 to {cores}, this machine's cores")
    for ratio in arguments.ratio:
        if not 1 < ratio <= 1000:
            raise UsageError(f"--ratio {ratio:g} is not above 1 (dense / kept weights) and at most 1000")
    for kind, names, known in (
        ("schedule", arguments.schedule, [rule.name for rule in RULES]),
        ("host", [arguments.host] if arguments.host else [], LOADERS),
    ):
        for name in names:
            if name not in known:
                raise unknown_name(kind, name, known)
    for family in arguments.family:
        sparsity_of(family, 4)
    rows_out.check(arguments.csv, arguments.plot)


def main(arguments: argparse.Namespace) -> int:
    check_flags(arguments)
    size = arguments.size or model_spec(arguments.model).size
    with pocl_threads(arguments.threads), open_device(arguments.device, arguments.profile) as session:
        torch.set_num_threads(arguments.threads)
        graph = trace_sizes(arguments.model, None, 0, [size])[0]
        cases = unique_convolutions(graph, session.profile.lanes, arguments.layer)
        with status("benchmark") as progress:
            content = result(arguments, cases, session, progress)
    if arguments.csv:
        kernel_out.write_csv(content["rows"], arguments.csv)
    if arguments.plot:
        kernel_out.plot(content["rows"], arguments.plot)
    if arguments.json:
        cli.print_json(content)
    else:
        kernel_out.print_result(content)
    return int(any(row["best_dense"] is None for row in content["rows"]))


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
