"""How much of a full search's speed a few trials reach: `python -m benchmarks.ranking`.

Trials of full searches (`codegen.tune --share 1`, which keeps them beside its tuned data) are replayed: of each
workload the most promising candidates are taken, by a ranker that learnt from all other workloads, in the order they
come in, or at random, and the time of the best of them is set beside the best of all. Nothing is run.

    python -m benchmarks.ranking --trials full.trials.jsonl [--learn-from other.trials.jsonl]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from codegen.kernels.choice import ScheduleChoice
from codegen.schedules import RULES
from codegen.tuning.ranking.ranker import Ranker, to_time
from codegen.tuning.ranking.trials import Trials, read_trials
from fleetpose import cli
from fleetpose.errors import UsageError

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
    parser.add_argument("--trials", type=Path, required=True, metavar="FILE", help="trials of full searches")
    parser.add_argument("--learn-from", type=Path, metavar="FILE", help="learn from these (default: from --trials)")
    parser.add_argument("--lanes", type=int, default=16, help="elements of a vector (default: %(default)s)")
    return parser


def main(arguments: argparse.Namespace) -> int:
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
