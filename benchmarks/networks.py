"""Whole networks, ours against other engines, interleaved: `python -m benchmarks.networks`.

Every engine starts from an input in memory and ends with the outputs in memory, in fp32, on the same number of threads.
Ours and stock TVM run over loopback RPC on this machine's OpenCL, by wall clock on the serving side; the others run in
this process. Each is compared with PyTorch before it is timed; one that is missing or fails is a row with the reason.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import rows_out
from benchmarks.engines import ENGINES, EngineJob, engine, engine_versions
from benchmarks.network_comparison import EngineComparison, NetworkContender
from benchmarks.network_families import fastest_plan
from benchmarks.network_plans import POINTWISE, SPATIAL, check_plans, labels_for, plans_of_label, template
from devices import open_device
from devices.conditions import conditions
from devices.session import Session
from devices.timing.measurement import versions
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report, status
from models.plans.sparsity import DENSE, Sparsity
from models.resolve import create_model, model_spec

log = logging.getLogger("benchmarks.networks")

DEFAULT_MODELS = ("lwop", "resnet50_3")
#: what limits the number of PoCL's threads, before and since PoCL 4
POCL_THREADS = ("POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT")


@contextmanager
def pocl_threads(threads: int) -> Iterator[None]:
    """A server started inside computes on so many threads: it inherits this process's environment."""
    before = {name: os.environ.get(name) for name in POCL_THREADS}
    os.environ.update({name: str(threads) for name in POCL_THREADS})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def make_job(model: str, size: tuple[int, int] | None, threads: int, session: Session) -> EngineJob:
    """A registered network with random weights and a random input, of the model's own size where `size` is None."""
    height, width = size or model_spec(model).size
    tensor = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3, height, width)).astype(np.float32)
    return EngineJob(model, create_model(model), tensor, threads, session)


def contenders_of(model: str, engines: Sequence[str], plans: Sequence[str]) -> list[NetworkContender]:
    """Every engine dense, and ours under each plan the network has; other engines make no use of zeros."""
    contenders = [NetworkContender(name) for name in engines]
    if "ours" in engines:
        contenders += [NetworkContender("ours", label) for label in labels_for(model, plans) if label != DENSE]
    return list(dict.fromkeys(contenders))


def compare(  # noqa: PLR0913  options with defaults
    models: Sequence[str],
    engines: Sequence[str],
    *,
    plans: Sequence[str] = (DENSE,),
    pointwise: Sequence[Sparsity] = (),
    spatial: Sequence[Sparsity] = (),
    threads: int,
    rounds: int,
    size: tuple[int, int] | None = None,
    progress: Report = no_report,
) -> dict[str, Any]:
    """Time networks on engines. The JSON object the command prints: "rows" as EngineRow, and "conditions".

    Args:
        models, engines: registered names of each.
        plans: labels of the paper's plans, or files; none: all of the paper's for each network.
        pointwise, spatial: what the paper's plans may give 1x1 and 3x3 layers, the fastest of them for each layer;
            none: POINTWISE and SPATIAL.
        threads, rounds: of every engine; samples of each.
        size: of the input, instead of each network's own.
        progress: told what is going on.
    """
    families = pointwise or [*map(template, POINTWISE)], spatial or [*map(template, SPATIAL)]
    torch.set_num_threads(threads)
    before, rows, device = conditions(), [], {}
    for model in models:  # a session each, so that what breaks one leaves the next network's whole
        with pocl_threads(threads), open_device("host") as session:
            device = encode(session.info)
            contenders = contenders_of(model, engines, plans)
            job = make_job(model, size, threads, session)
            jobs = {DENSE: job}
            for label in dict.fromkeys(contender.plan for contender in contenders if contender.plan != DENSE):
                meant = plans_of_label(label, job.graph, model, *families)
                jobs[label] = replace(job, plan=fastest_plan(session, job.graph, meant, progress))
            rows += EngineComparison(jobs, contenders, progress).run(rounds)
    return {
        "rows": [asdict(row) for row in rows],
        "conditions": {
            "versions": {**versions(), **engine_versions([*engines])},
            "device": device,
            "before": before,
            "after": conditions(),
        },
    }


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.networks", "Whole networks against other engines, interleaved, fp32.")
    default = " ".join(DEFAULT_MODELS)
    parser.add_argument(
        "--model", nargs="+", action="extend", help=f"registered networks, with random weights (default: {default})"
    )
    parser.add_argument(
        "--engine", nargs="+", action="extend", help=f"engines (default: all): {', '.join(ENGINES)}", metavar="ENGINE"
    )
    parser.add_argument(
        "--plan", nargs="+", action="extend", default=[], metavar="PLAN",
        help="plans of ours besides dense: 2.15x, ... or FILE.json (default: all of the paper's); dense: none",
    )  # fmt: skip
    for name, kernel, families in (("pointwise", "1x1", POINTWISE), ("spatial", "3x3", SPATIAL)):
        parser.add_argument(
            f"--{name}", nargs="+", type=template, default=[], metavar="FAMILY",
            help=f"zeros the paper's plans may give {kernel} layers, the fastest for each (default: "
            f"{' '.join(families)})",
        )  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, help="of every engine")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each engine; stock_tvm gets 3 at most")
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input size, instead of the network's own")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw them there (needs matplotlib)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    models, engines = arguments.model or DEFAULT_MODELS, arguments.engine or list(ENGINES)
    for name in models:
        model_spec(name)
    for name in engines:
        engine(name)
    check_plans(models, arguments.plan)
    cores = len(os.sched_getaffinity(0))
    if arguments.rounds < 1 or not 1 <= arguments.threads <= cores:
        raise UsageError(f"--rounds is at least 1 and --threads 1 to {cores}, this machine's cores")
    rows_out.check(arguments.csv, arguments.plot)
    with status("benchmark") as progress:
        content = compare(
            list(dict.fromkeys(models)),
            list(dict.fromkeys(engines)),
            plans=arguments.plan,
            pointwise=arguments.pointwise,
            spatial=arguments.spatial,
            threads=arguments.threads,
            rounds=arguments.rounds,
            size=arguments.size,
            progress=progress,
        )
    rows = content["rows"]
    if arguments.csv:
        rows_out.write_csv(rows, content["conditions"], arguments.csv)
    if arguments.plot:
        rows_out.plot(rows, arguments.plot)
    if arguments.json:
        cli.print_json(content)
    else:
        rows_out.print_rows(rows)
    return int(any(row["engine"] == "ours" and row["error"] for row in rows))


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
