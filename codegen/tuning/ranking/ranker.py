"""Ranker: puts candidates into the order in which they are worth timing, as trials of other workloads teach it.

Trees (`codegen.tuning.ranking.learners`) on what a configuration and the workload's sizes make of each other. With
nothing to learn from the order stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log, prod
from typing import Any

import numpy as np

from codegen.kernels.choice import ScheduleChoice
from codegen.tuning.key import Key
from codegen.tuning.ranking.learners import LearnedOrder
from codegen.tuning.ranking.trials import Trials

#: workloads with trials below which nothing is learnt
LEAST_WORKLOADS = 3
#: workloads that are learnt from, the newest: learning is done anew for each that is tuned
MOST_LEARNT = 200
#: candidates of a workload that are timed whatever their share, the default among them
LEAST_TIMED = 4


@dataclass(frozen=True)
class Ranker:
    """A trained order.

    Attributes:
        learned: None where there was too little to learn from.
        schedules, names: of configurations: schedules, and fields that are numbers.
        lanes: elements of a vector of the profile's.
    """

    learned: LearnedOrder | None
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
        return replace(untrained, learned=LearnedOrder.learn(tables, [_times(trials.ms) for trials in useful]))

    def order(self, workload: Key, choices: Sequence[ScheduleChoice]) -> list[int]:
        """Numbers of the choices: the first, which is the default, then the others as they promise most."""
        others = [*range(1, len(choices))]
        if self.learned is None or not others:
            return [0, *others][: len(choices)]
        table = self._table(workload, [choice.to_dict() for choice in choices])
        ranks = self.learned.ranks(table)
        return [0, *sorted(others, key=lambda number: ranks[number])]

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


def _times(ms: Sequence[float | None]) -> np.ndarray:
    """Milliseconds, infinite of what failed."""
    return np.array([np.inf if value is None else value for value in ms], np.float64)


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
