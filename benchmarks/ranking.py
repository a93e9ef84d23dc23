"""How much of a full search's speed a few trials reach: `python -m benchmarks.ranking`.

Trials of full searches (`codegen.tune --share 1`, which keeps them beside its tuned data) are replayed: of each
workload the most promising candidates are taken, by a ranker that learnt from all other workloads, in the order they
come in, or at random, and the time of the best of them is set beside the best of all. Nothing is run.

    python -m benchmarks.ranking --trials full.trials.jsonl [--learn-from other.trials.jsonl]

Logs of AutoTVM, or CSV tables of them, are replayed with `--data`: how much slower than the best configuration of a
layer the best of the first few is, layers held out (`benchmarks.tuning_logs`).

    python -m benchmarks.ranking --data tuning.csv.gz [--winners best.csv]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tuning_logs.histories import read_histories, read_winners
from benchmarks.tuning_logs.regret import TRIALS, replay
from codegen.kernels.choice import ScheduleChoice
from codegen.schedules import RULES
from codegen.tuning.ranking.ranker import Ranker, to_time
from codegen.tuning.ranking.trials import Trials, read_trials
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.progress import status
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.read import Dataset

SHARES = (0.1, 0.2, 0.3, 0.5)
DRAWINGS = 20

Order = Callable[[Trials], Sequence[int]]


def reached(known: Sequence[Trials], order: Order, share: float) -> tuple[float, float]:
    """(time of the best of all / time of the best of those taken, summed over layers; share that was taken)."""
    best, taken_best, taken, every = 0.0, 0.0, 0, 0
    for trials in known:
        times = np.array([np.inf if ms is None else ms for ms in trials.ms])
        chosen = [*order(trials)][: to_time(len(times), share)]
        best, taken_best = best + trials.layers * times.min(), taken_best + trials.layers * times[chosen].min()
        taken, every = taken + len(chosen), every + len(times)
    return float(best / taken_best), taken / every


def learnt(known: Sequence[Trials], others: Sequence[Trials], lanes: int) -> Order:
    """The order of a ranker that saw all workloads of `others`, but never the one that it is asked about."""
    orders = {}
    for trials in known:
        rest = [other for other in others if other.workload != trials.workload]
        choices = [ScheduleChoice.from_dict(choice, RULES) for choice in trials.choices]
        orders[trials.workload] = Ranker.learn(rest, lanes).order(trials.workload, choices)
    return lambda trials: orders[trials.workload]


def at_random(seed: int) -> Order:
    """The default, then any."""
    generator = np.random.default_rng(seed)
    return lambda trials: [0, *(1 + generator.permutation(len(trials.ms) - 1))]


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.ranking", "Share of a full search's speed that a few trials reach.")
    replayed = parser.add_mutually_exclusive_group(required=True)
    replayed.add_argument("--trials", type=Path, metavar="FILE", help="trials of full searches")
    replayed.add_argument(
        "--data", nargs="+", type=Path, metavar="FILE", help="logs of AutoTVM, or CSV tables of all that it tried"
    )
    parser.add_argument("--learn-from", type=Path, metavar="FILE", help="learn from these (default: from --trials)")
    parser.add_argument("--lanes", type=int, default=16, help="elements of a vector (default: %(default)s)")
    parser.add_argument(
        "--winners", nargs="+", type=Path, default=[], metavar="FILE",
        help="with --data: fastest configurations of layers on any device, to learn from besides",
    )  # fmt: skip
    parser.add_argument("--gpu", default="", metavar="NAME", help="with --data: the GPU of logs that do not name it")
    parser.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="COLUMN=VALUE", help="with --data: rows to take"
    )
    return parser


def main(arguments: argparse.Namespace) -> int:
    return replay_logs(arguments) if arguments.data else replay_trials(arguments)


def replay_logs(arguments: argparse.Namespace) -> int:
    """`--data`: regrets, by device and by what was learnt from."""
    histories = read_histories(Dataset.read(arguments.data, arguments.where, True, MeasuredOn(arguments.gpu)))
    with status("replaying") as progress:
        rows = replay(histories, read_winners(arguments.winners) if arguments.winners else (), report=progress)
    if arguments.json:
        cli.print_json({"rows": rows})
        return 0
    table = [
        [row["device"], row["order"], row["learnt_from"], row["histories"], *map(_regret, *_figures(row))]
        for row in rows
    ]
    header = [f"{count} trial{'s' * (count > 1)}" for count in TRIALS]
    cli.print_table(["device", "order", "learnt from", "searches", *header], table)
    print("Slower than the best, %: the median (90 % interval over layers), then the mean.")
    return 0


def _figures(row: dict[str, Any]) -> tuple[list[float], list[list[float]], list[float]]:
    return row["median"], row["median_interval"], row["mean"]


def _regret(median: float, interval: Sequence[float], mean: float) -> str:
    low, high = interval
    return f"{100 * median:.0f} ({100 * low:.0f} to {100 * high:.0f}), {100 * mean:.0f}"


def replay_trials(arguments: argparse.Namespace) -> int:
    """`--trials`: shares of the full searches' speed."""
    known = [trials for trials in read_trials(arguments.trials) if any(ms is not None for ms in trials.ms)]
    if not known:
        raise UsageError(f"{arguments.trials} has no trials")
    others = read_trials(arguments.learn_from) if arguments.learn_from else known
    ranked, rows = learnt(known, others, arguments.lanes), []
    for share in SHARES:
        (speed, taken), (plain, _) = reached(known, ranked, share), reached(known, lambda t: range(len(t.ms)), share)
        drawn = float(np.mean([reached(known, at_random(seed), share)[0] for seed in range(DRAWINGS)]))
        rows.append([f"{share:.0%}", f"{taken:.0%}", f"{speed:.1%}", f"{plain:.1%}", f"{drawn:.1%}"])
    cli.print_table(["share", "timed", "ranked", "as they come", "at random"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
