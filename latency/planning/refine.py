"""Refine: the planned network timed in turn with the dense one, and the plan decided again by what it saved.

Layers are timed alone, and alone they find a cache that is theirs. What zeros save of a whole network is therefore
seen before work goes into its weights: no weights are needed for that, only places of zeros. Each trial tells what the
predicted savings are worth (`NetworkOptions.saved`), and the next plan is chosen by that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean

from codegen.tuning.contest import brief
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.cooling import Cooler
from devices.timing.interleaved import Ratio, measure_reloaded
from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report
from latency.planning.choosing import Goal, target_of
from latency.planning.options import NetworkOptions
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.network_timing import (
    EXTEND,
    LOADS,
    SAMPLES_PER_ROUND,
    NetworkVariant,
    compile_variant,
    judge_variant,
)
from latency.profiling.prepare import Recipe
from models.graph.network import Graph
from models.plans.cost import Cost, Outlook
from models.plans.plan import Plan

#: plans that are timed at most
TRIALS = 3
#: of the target: a time that is so near is not decided again
NEAR = 0.02


@dataclass(frozen=True)
class PlanTrial:
    """A plan and what it does.

    Attributes:
        plan: as decided, its network's times not all measured.
        alone_ms: what its zeros save by the layers' times, no trial considered.
        ratio: dense time / planned time, of interleaved rounds.
    """

    plan: Plan
    alone_ms: float
    ratio: Ratio

    @property
    def outlook(self) -> Outlook:
        """The plan's network."""
        assert self.plan.network is not None
        return self.plan.network

    @property
    def saved_ratio(self) -> float:
        """What was saved / what the layers' times say."""
        return self.saved_at(self.ratio.median)

    def saved_at(self, ratio: float) -> float:
        """The same, had the planned network been so many times as fast."""
        return (self.outlook.dense.ms - self.ms(ratio)) / self.alone_ms

    def ms(self, ratio: float) -> float:
        """Milliseconds of the planned network at a ratio."""
        return self.outlook.dense.ms / ratio

    def expected_ms(self, saved: float) -> float:
        """Milliseconds of the planned network where so much is saved of what the layers' times say."""
        return self.outlook.dense.ms - saved * self.alone_ms

    def with_measured_time(self, saved: float) -> Plan:
        """The plan with the planned network's time measured, given what is saved as the mean over all trials.

        Every trial says what zeros are worth, so the mean's time is nearer to the truth than the time of the one trial
        that is taken, whose noise also leans towards the goal. The interval holds both.
        """
        ratio, outlook = self.ratio, self.outlook
        ms = self.expected_ms(saved)
        cost = Cost(ms, min(ms, self.ms(ratio.high)), max(ms, self.ms(ratio.low)), measured=True)
        return replace(self.plan, network=replace(outlook, planned=cost, predicted=outlook.planned))

    def __str__(self) -> str:
        ratio, foretold = self.ratio, self.outlook.dense.ms / self.outlook.planned.ms
        return f"{ratio.median:.2f} times as fast ({ratio.low:.2f} to {ratio.high:.2f}), {foretold:.2f} predicted"


def refine_by_trials(
    network: NetworkOptions,
    goal: Goal,
    make: Callable[[NetworkOptions], Plan],
    time: Callable[[Plan], Ratio],
    expired: Callable[[], bool] = lambda: False,
) -> Plan:
    """The plan of a goal of time after trials.

    What is saved is taken as the mean over the trials, for each of them is noisy. They end once that mean brings the
    plan at hand near the target, and at TRIALS; then the plan nearest to the target of those that reach it is taken,
    or the fastest. Where the time is over after a trial, the plan that is decided by it is not timed again.

    Args:
        network: its dense time measured.
        goal: a target or a speed-up.
        make: makes a plan of options; raises UsageError where the goal cannot be reached.
        time: times a plan's network, dense time / planned time.
        expired: whether the time for trials is over; one is made in any case.

    Raises:
        UsageError: the goal is out of reach as predicted, or a network failed on the device.
    """
    target = target_of(network, goal)
    assert target is not None
    plan, trials = make(network), list[PlanTrial]()
    while plan.sparsities and not any(plan.sparsities == trial.plan.sparsities for trial in trials):
        trials.append(_trial(plan, network, time(plan)))
        saved = mean(trial.saved_ratio for trial in trials)
        if len(trials) == TRIALS or saved <= 0 or abs(trials[-1].expected_ms(saved) / target - 1) <= NEAR:
            break
        network = replace(network, saved=saved)
        try:
            plan = make(network)
        except UsageError:  # as far as is known now, nothing reaches it
            break
        if expired():
            return _untimed(plan, trials, saved)
    if not trials:
        return plan
    best = _best(trials, target).with_measured_time(mean(trial.saved_ratio for trial in trials))
    assert best.network is not None
    return replace(best, network=replace(best.network, notes=(*best.network.notes, _sentence(trials))))


def _untimed(plan: Plan, trials: Sequence[PlanTrial], saved: float) -> Plan:
    """A plan that was decided by trials of others: its time as predicted by these, the interval theirs as well."""
    assert plan.network is not None
    dense, planned, last = plan.network.dense, plan.network.planned, trials[-1]
    alone_ms = (dense.ms - planned.ms) / saved
    fast, slow = (dense.ms - alone_ms * last.saved_at(ratio) for ratio in (last.ratio.high, last.ratio.low))
    cost = replace(planned, low=min(planned.low, fast), high=max(planned.high, slow))
    notes = (*plan.network.notes, f"{_sentence(trials)}; decided again by that, not timed again: the time was over")
    return replace(plan, network=replace(plan.network, planned=cost, notes=notes))


def _trial(plan: Plan, network: NetworkOptions, ratio: Ratio) -> PlanTrial:
    assert plan.network is not None
    return PlanTrial(plan, (plan.network.dense.ms - plan.network.planned.ms) / network.saved, ratio)


def _best(trials: Sequence[PlanTrial], target: float) -> PlanTrial:
    saved = mean(trial.saved_ratio for trial in trials)
    times = {number: trial.expected_ms(saved) for number, trial in enumerate(trials)}
    reach = [number for number, ms in times.items() if ms <= target * (1 + NEAR)]
    return trials[max(reach, key=times.__getitem__) if reach else min(times, key=times.__getitem__)]


def _sentence(trials: Sequence[PlanTrial]) -> str:
    times = "; decided again by that: ".join(map(str, trials))
    return f"the planned network was timed in turn with the dense one: {times}"


class Stand:
    """The dense network on a device, to time planned ones beside.

    Args:
        session: an open session of the device.
        graph: the network.
        recipe, settings: how it is compiled and timed.
        dtype: element type.
        report: told what is done.
    """

    def __init__(
        self,
        session: Session,
        graph: Graph,
        recipe: Recipe,
        settings: RunSettings,
        dtype: str,
        report: Report = no_report,
    ) -> None:
        self.session, self.graph, self.recipe, self.settings = session, graph, recipe, settings
        self.dtype, self.report = dtype, report

    @cached_property
    def _dense(self) -> Callable[[], TimedCall]:
        return self._send(None)

    def _send(self, plan: Plan | None) -> Callable[[], TimedCall]:
        variant = NetworkVariant(self.graph, plan, self.dtype)
        compiled = compile_variant(variant, self.recipe)
        if (failure := judge_variant(variant, compiled, self.session, self.settings)) is not None:
            raise UsageError(f"the {'planned' if plan else 'dense'} network is wrong on the device: {failure.reason}")
        return compiled.send(self.session)

    def time(self, plan: Plan) -> Ratio:
        """Dense time / planned time, by wall clock.

        Raises:
            UsageError: a network failed, or is wrong. DeviceUnreachable: the device is gone.
        """
        settings, rounds = self.settings, SAMPLES_PER_ROUND * self.settings.rounds
        Cooler(self.session, settings.patience.cooling, self.report).wait()
        self.report("the whole network, planned and dense in turn")
        networks = {"dense": self._dense, "planned": self._send(plan)}
        result = measure_reloaded(
            self.session, lambda: {name: load() for name, load in networks.items()},
            LOADS, rounds, warmup=1, clock="wall",
            min_repeat_secs=settings.sample_secs, timeout_secs=settings.network_timeout_secs, seed=settings.seed,
            most_rounds=EXTEND * rounds, precision=settings.patience.precision,
        )  # fmt: skip
        for name, measurement in result.measurements.items():
            if not measurement.ok:
                raise UsageError(f"the {name} network was not timed: {brief(measurement.error)}")
        return result.ratios["planned"]
