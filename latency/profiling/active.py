"""Active collection: of all that could be timed next, first what a predictor's decisions hang on.

A run is worth its time where sparse or dense is not settled, that is, where the predicted ratio's interval holds 1; and
next to that where intervals are wide. Worth is what a decision by the predicted ratio is expected to lose, the value of
perfect information (Howard, Information Value Theory, 1966), with the logarithm of the ratio taken as normal.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from latency.profiling.prepare import Recipe
from latency.profiling.space import Group
from models.plans.time_estimate import TimeEstimate

log = logging.getLogger("latency.profiling.active")

#: standard deviations from the middle to either end of a 90 % interval
NINETY = 1.645
#: worth of an interval's width, in units of that of an open decision
WIDTH_WORTH = 0.25


class Estimator(Protocol):
    """What ordering needs of a predictor."""

    def estimates(self, kernels: Sequence[tuple[Workload, ScheduleChoice]]) -> Sequence[TimeEstimate]:
        """The times of workloads under their schedules, in order, with their 90 % intervals."""


def by_worth(estimator: Estimator, recipe: Recipe) -> Callable[[list[Group]], list[Group]]:
    """A function that puts runs in order, what is worth most first; what has no schedule comes last."""

    def order(waiting: list[Group]) -> list[Group]:
        worths = {number: worth(estimates) for number, estimates in _estimate(estimator, recipe, waiting).items()}
        if worths:
            log.info("worth of runs: %.3f to %.3f", max(worths.values()), min(worths.values()))
        return [waiting[number] for number in sorted(range(len(waiting)), key=lambda at: -worths.get(at, -1.0))]

    return order


#: which of many kernels to time: so many of them, the most telling first
ChooseFew = Callable[[Sequence[tuple[Workload, ScheduleChoice]], int], Sequence[int]]


def by_telling(choose: ChooseFew, recipe: Recipe, count: int) -> Callable[[list[Group]], list[Group]]:
    """A function that keeps the `count` runs whose dense layers tell most of a new device, and drops all others."""

    def order(waiting: list[Group]) -> list[Group]:
        kernels: list[tuple[Workload, ScheduleChoice]] = []
        owners: list[int] = []
        for number, group in enumerate(waiting):
            dense = [pair for pair in recipe.choices(group) if pair[0].sparsity is None]
            kernels += dense[:1]
            owners += [number] * len(dense[:1])
        return [waiting[owners[at]] for at in choose(kernels, count)] if kernels else []

    return order


def worth(estimates: Sequence[TimeEstimate]) -> float:
    """The worth of timing a run: of its most open decision and its widest interval; the dense estimate comes first."""
    dense, *sparse = estimates
    open_decision = max((expected_loss(dense, variant) for variant in sparse), default=0.0)
    return open_decision + WIDTH_WORTH * max(map(sigma, estimates))


def expected_loss(dense: TimeEstimate, sparse: TimeEstimate) -> float:
    """Share of the time that choosing by the predicted ratio alone is expected to lose: sd (p(z) - z P(-z)).

    z is the distance of the log-ratio from 0 in standard deviations, p and P the normal density and distribution.
    """
    distance, deviation = abs(math.log(sparse.ms / dense.ms)), math.hypot(sigma(dense), sigma(sparse))
    if deviation == 0:
        return 0.0
    z = distance / deviation
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return deviation * (density - z * math.erfc(z / math.sqrt(2)) / 2)


def sigma(time: TimeEstimate) -> float:
    """Standard deviation of a time's logarithm, from its 90 % interval."""
    return time.half_width / NINETY


def _estimate(estimator: Estimator, recipe: Recipe, groups: Sequence[Group]) -> dict[int, list[TimeEstimate]]:
    """By the groups' numbers; those whose dense layer has no schedule are left out, as are such variants."""
    kernels: list[tuple[Workload, ScheduleChoice]] = []
    owners: list[int] = []
    for number, group in enumerate(groups):
        choices = recipe.choices(group)
        if choices and choices[0][0].sparsity is None:
            kernels += choices
            owners += [number] * len(choices)
    estimated: dict[int, list[TimeEstimate]] = {}
    for number, estimate in zip(owners, estimator.estimates(kernels) if kernels else [], strict=True):
        estimated.setdefault(number, []).append(estimate)
    return estimated
