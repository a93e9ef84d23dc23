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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import rows_out
from benchmarks.engines import ENGINES, Job, Prepared, engine, engine_versions, prepare
from devices import open_device
from devices.conditions import conditions
from devices.interleaved import Interleaved, bootstrap_median, measure_interleaved
from devices.measure import measure
from devices.measurement import Measurement, versions
from devices.session import Session
from fleetpose import cli
from fleetpose.errors import UsageError, reason
from fleetpose.progress import status
from models.registry import create_model, model_spec

log = logging.getLogger("benchmarks.networks")

DEFAULT_MODELS = ("lwop", "resnet50_3")
REST_SECS = 0.03
#: what limits the number of PoCL's threads, before and since PoCL 4
POCL_THREADS = ("POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT")


@dataclass(frozen=True)
class Contender:
    """What one row is about: a network's weights as planned ("dense": as they are), on an engine."""

    engine: str
    plan: str = "dense"

    def __str__(self) -> str:
        return f"{self.engine} {self.plan}"


@dataclass
class Row:
    """One contender's times on one network.

    Attributes:
        size: of the input, (height, width).
        median_ms, min_ms: over `rounds` samples of one inference each; None where there is an `error`.
        max_abs_error: of the outputs against PyTorch.
        time_over_ours: {"median", "low", "high"}: seconds of this one / seconds of ours dense in the same round, with
            the 95 % bootstrap interval of the median over the rounds; None without both.
    """

    network: str
    plan: str
    engine: str
    threads: int
    size: tuple[int, int]
    rounds: int = 0
    median_ms: float | None = None
    min_ms: float | None = None
    max_abs_error: float | None = None
    time_over_ours: dict[str, float] | None = None
    error: str | None = None


class Comparison:
    """One network on several contenders. The first that works is the one ratios are of, if it is ours."""

    def __init__(self, job: Job, contenders: Sequence[Contender], progress: Callable[..., None]) -> None:
        height, width = job.tensor.shape[2:]
        self.job, self.progress = job, progress
        self.rows = {
            one: Row(job.model, one.plan, one.engine, job.threads, (height, width))
            for one in sorted(contenders, key=lambda one: one.engine != "ours")
        }
        self.prepared: dict[Contender, Prepared] = {}

    def run(self, rounds: int) -> list[Row]:
        """Time all, the slow ones after the others and in turn with the reference alone."""
        slow = [one for one in self.rows if engine(one.engine).most_rounds is not None]
        fast = [one for one in self.rows if one not in slow]
        self._prepare(fast)
        self._time(list(self.prepared), rounds)
        for one in slow:
            reference = next(iter(self.prepared), one)
            self._prepare([one])
            if one in self.prepared:
                most = engine(one.engine).most_rounds or rounds
                self._time(list(dict.fromkeys([reference, one])), min(rounds, most))
                del self.prepared[one]
        return list(self.rows.values())

    def _prepare(self, contenders: Sequence[Contender]) -> None:
        for one in contenders:
            self.progress(f"{self.job.model}: preparing {one}")
            try:
                self.prepared[one] = prepare(one.engine, self.job)
                self.rows[one].max_abs_error = self.prepared[one].max_abs_error
            except Exception as error:  # whatever ails an engine is its row's text
                log.debug("%s", one, exc_info=True)
                self.rows[one].error = reason(error)

    def _time(self, contenders: Sequence[Contender], rounds: int) -> None:
        if not contenders:
            return
        self.progress(f"{self.job.model}: timing {', '.join(map(str, contenders))}, {rounds} rounds")
        calls = {str(one): self.prepared[one].call for one in contenders}
        session = self.job.session
        if len(calls) == 1:
            ((name, call),) = calls.items()
            alone = measure(session, call.function, call.args, entry=call.entry, repeats=rounds, number=1)
            found = Interleaved(name, "wall", {name: alone}, {})
        else:
            found = measure_interleaved(session, calls, rounds, number=1, clock="wall", rest_secs=REST_SECS)
        for one in contenders:
            if not self.rows[one].rounds:
                self._fill(self.rows[one], found.measurements[str(one)])
            if str(one) in found.ratios and contenders[0].engine == "ours":
                self.rows[one].time_over_ours = _over(found.ratios[str(one)].rounds)

    def _fill(self, row: Row, timing: Measurement) -> None:
        if not timing.ok:
            row.error = timing.error
            return
        milliseconds = 1e3 * np.array(timing.wall_secs)
        row.rounds = len(milliseconds)
        row.median_ms, row.min_ms = float(np.median(milliseconds)), float(milliseconds.min())


def _over(times_as_fast: Sequence[float]) -> dict[str, float]:
    """Time over the reference's time, from the reference's time over it in each round."""
    over = 1 / np.array(times_as_fast)
    low, high = bootstrap_median(over)
    return {"median": float(np.median(over)), "low": low, "high": high}


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


def make_job(model: str, size: tuple[int, int] | None, threads: int, session: Session) -> Job:
    """A registered network with random weights and a random input, of the model's own size without `size`."""
    height, width = size or model_spec(model).size
    tensor = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3, height, width)).astype(np.float32)
    return Job(model, create_model(model), tensor, threads, session)


def compare(
    models: Sequence[str],
    contenders: Sequence[Contender],
    *,
    threads: int,
    rounds: int,
    size: tuple[int, int] | None = None,
    progress: Callable[..., None] = lambda *message: None,
) -> dict[str, Any]:
    """Time networks on engines. The JSON object the command prints: "rows" as Row, and "conditions"."""
    torch.set_num_threads(threads)
    before, rows, device = conditions(), [], {}
    for model in models:  # a session each, so that what breaks one leaves the next network's whole
        with pocl_threads(threads), open_device("host") as session:
            device = session.info.to_dict()
            rows += Comparison(make_job(model, size, threads, session), contenders, progress).run(rounds)
    engines = list(dict.fromkeys(one.engine for one in contenders))
    return {
        "rows": [asdict(row) for row in rows],
        "conditions": {
            "versions": {**versions(), **engine_versions(engines)},
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
    cores = len(os.sched_getaffinity(0))
    if arguments.rounds < 1 or not 1 <= arguments.threads <= cores:
        raise UsageError(f"--rounds is at least 1 and --threads 1 to {cores}, this machine's cores")
    rows_out.check(arguments.csv, arguments.plot)
    with status("benchmark") as progress:
        found = compare(
            list(dict.fromkeys(models)),
            [Contender(name) for name in dict.fromkeys(engines)],
            threads=arguments.threads,
            rounds=arguments.rounds,
            size=arguments.size,
            progress=progress,
        )
    rows = found["rows"]
    if arguments.csv:
        rows_out.write_csv(rows, arguments.csv)
    if arguments.plot:
        rows_out.plot(rows, arguments.plot)
    if arguments.json:
        cli.print_json(found)
    else:
        rows_out.print_rows(rows)
    return int(any(row["engine"] == "ours" and row["error"] for row in rows))


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
