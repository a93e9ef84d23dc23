"""Ranker: puts candidates into the order in which they are worth timing, as trials of other workloads teach it.

Trees that rank pairs (LambdaMART's pairwise loss, as xgboost has it) on what a configuration and the workload's sizes
make of each other. Times of different workloads need no common scale for that. With nothing to learn from the order
stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log, prod
from typing import Any

import numpy as np
import xgboost

from codegen.kernels.choice import ScheduleChoice
from codegen.tuning.key import Key
from codegen.tuning.ranking.trials import Trials

#: workloads with trials below which nothing is learnt
LEAST_WORKLOADS = 3
#: workloads that are learnt from, the newest: learning is done anew for each that is tuned
MOST_LEARNT = 200
#: candidates of a workload that are timed whatever their share, the default among them
LEAST_TIMED = 4
ROUNDS, DEPTH, ETA = 150, 5, 0.08
#: how fast worth falls with time: a candidate that takes e times as long as the best is worth 1/e^STEEP of it
STEEP, BEST_GRADE = 2.0, 10.0
SEED = 0


@dataclass(frozen=True)
class Ranker:
    """A trained order.

    Attributes:
        booster: None where there was too little to learn from.
        schedules, names: of configurations: schedules, and fields that are numbers.
        lanes: elements of a vector of the profile's.
    """

    booster: xgboost.Booster | None
    schedules: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    lanes: int = 1

    @classmethod
    def learn(cls, known: Sequence[Trials], lanes: int) -> Ranker:
        """Learn from the trials of workloads on one device; failures count as the worst."""
        useful = [trials for trials in known if sum(ms is not None for ms in trials.ms) > 1][-MOST_LEARNT:]
        if len(useful) < LEAST_WORKLOADS:
            return cls(None)
        choices = [choice for trials in useful for choice in trials.choices]
        schedules = tuple(sorted({str(choice.get("schedule")) for choice in choices}))
        names = tuple(sorted({name for choice in choices for name, value in choice.items() if _is_number(value)}))
        untrained = cls(None, schedules, names, lanes)
        tables = [untrained._table(trials.workload, trials.choices) for trials in useful]
        grades = [_grades(trials.ms) for trials in useful]
        data = xgboost.DMatrix(np.vstack(tables), np.concatenate(grades))
        data.set_group([len(table) for table in tables])
        parameters = {"objective": "rank:pairwise", "max_depth": DEPTH, "eta": ETA, "nthread": 1, "seed": SEED}
        return cls(xgboost.train(parameters, data, ROUNDS), schedules, names, lanes)

    def order(self, workload: Key, choices: Sequence[ScheduleChoice]) -> list[int]:
        """Numbers of the choices: the first, which is the default, then the others as they promise most."""
        others = [*range(1, len(choices))]
        if self.booster is None or not others:
            return [0, *others][: len(choices)]
        table = self._table(workload, [choice.to_dict() for choice in choices])
        worth = self.booster.predict(xgboost.DMatrix(table))
        return [0, *sorted(others, key=lambda number: -worth[number])]

    def _table(self, workload: Key, choices: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """What trees see of each choice (choices, columns); NaN where a configuration has no such field."""
        sizes = _sizes(workload)
        rows = [
            [*sizes, *_fit(workload, choice, self.lanes), *(_number(choice.get(name)) for name in self.names),
             *(float(choice.get("schedule") == name) for name in self.schedules)]
            for choice in choices
        ]  # fmt: skip
        return np.array(rows, np.float64)


def to_time(choices: int, share: float) -> int:
    """How many of so many candidates are timed."""
    return min(choices, max(LEAST_TIMED, ceil(share * choices)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else float("nan")


def _grades(ms: Sequence[float | None]) -> np.ndarray:
    """Worth of each trial: BEST_GRADE of the fastest, less of slower ones, 0 of what failed."""
    times = np.array([np.inf if value is None else value for value in ms], np.float64)
    return BEST_GRADE * (times.min() / times) ** STEEP


def _sizes(workload: Key) -> list[float]:
    """The workload's own columns."""
    channels = workload.inputs[0][0]
    filters, *pixels = workload.output
    taps = prod(workload.kernel)
    work = prod(workload.output) * max(1, channels // workload.groups) * taps
    sizes = [log(channels), log(filters), log(prod(pixels)), float(pixels[-1]), float(taps), log(work)]
    kind = (workload.stride[0], workload.groups, len(workload.epilogue), workload.sparsity is not None)
    return [*sizes, *map(float, kind)]


def _fit(workload: Key, choice: Mapping[str, Any], lanes: int) -> list[float]:
    """How a tile of `filters` x `vectors` fits the output: pixels and filters computed / wanted, tile, loads / sum."""
    filters, vectors = _number(choice.get("filters")), _number(choice.get("vectors"))
    rows = _number(choice.get("rows")) if "rows" in choice else 1.0
    width = vectors * lanes
    wanted_filters, wanted_width = workload.output[0], workload.output[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = np.ceil(wanted_width / np.float64(width)) * width / wanted_width
        blocks = np.ceil(wanted_filters / np.float64(filters)) * filters / wanted_filters
        loads = 1 / np.float64(filters) + 1 / np.float64(vectors * rows)
    return [
        value if np.isfinite(value) else float("nan") for value in (columns, blocks, filters * vectors * rows, loads)
    ]
