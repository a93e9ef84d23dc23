"""Trial: the planned network timed in turn with the dense one, and the plan decided again by what it saved.

Layers are timed alone, and alone they find a cache that is theirs. What zeros save of a whole network is therefore
seen before work goes into its weights: no weights are needed for that, only places of zeros. Each trial tells what the
predicted savings are worth (`Network.saved`), and the next plan is chosen by that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from codegen.contest import brief
from devices.interleaved import Ratio, measure_interleaved
from devices.session import Session
from devices.timers import Call
from fleetpose.errors import UsageError
from latency.deciding import Goal, Network, target_of
from latency.prepare import Recipe
from latency.rounds import Settings
from latency.whole import SAMPLES_PER_ROUND, Compiled, Whole
from models.cost import Cost
from models.graph import Graph
from models.plan import Plan

#: plans that are timed at most
TRIALS = 3
#: of the target: a time that is so near is not decided again
NEAR = 0.02


@dataclass(frozen=True)
class Trial:
    """A plan and what it does.

    Attributes:
        plan: as decided, its network's times not all measured.
        ratio: dense time / planned time, of interleaved rounds.
    """

    plan: Plan
    ratio: Ratio

    @property
    def foretold(self) -> float:
        """The ratio that was predicted."""
        assert self.plan.network is not None
        return self.plan.network.dense.ms / self.plan.network.planned.ms

    def ms(self, ratio: float) -> float:
        """Milliseconds of the planned network at a ratio."""
        assert self.plan.network is not None
        return self.plan.network.dense.ms / ratio

    @property
    def measured(self) -> Plan:
        """The plan with the planned network's time measured."""
        assert self.plan.network is not None
        found = self.ratio
        cost = Cost.of(self.ms(found.median), self.ms(found.high), self.ms(found.low), measured=True)
        outlook = self.plan.network
        return replace(self.plan, network=replace(outlook, planned=cost, predicted=outlook.planned))

    def __str__(self) -> str:
        found = self.ratio
        return f"{found.median:.2f} times as fast ({found.low:.2f} to {found.high:.2f}), {self.foretold:.2f} predicted"


def tried(network: Network, goal: Goal, plan_of: Callable[[Network], Plan], time: Callable[[Plan], Ratio]) -> Plan:
    """The plan of a goal of time after trials: the one nearest to the target of those that reach it, else the fastest.

    Args:
        network: its dense time measured.
        goal: a target or a speed-up.
        plan_of: decides; raises UsageError where the goal cannot be reached.
        time: times a plan's network, dense time / planned time.

    Raises:
        UsageError: the goal is out of reach as predicted, or a network failed on the device.
    """
    target = target_of(network, goal)
    assert target is not None
    plan, trials = plan_of(network), list[Trial]()
    while plan.sparsities and not any(plan.sparsities == each.plan.sparsities for each in trials):
        trials.append(Trial(plan, time(plan)))
        saved = _saved(network, trials[-1])
        if len(trials) == TRIALS or saved <= 0 or abs(trials[-1].ms(trials[-1].ratio.median) / target - 1) <= NEAR:
            break
        network = replace(network, saved=saved)
        try:
            plan = plan_of(network)
        except UsageError:  # as far as is known now, nothing reaches it
            break
    if not trials:
        return plan
    best = _best(trials, target)
    found = best.measured
    assert found.network is not None
    return replace(found, network=replace(found.network, notes=(*found.network.notes, _sentence(trials))))


def _saved(network: Network, trial: Trial) -> float:
    """What was saved / what the layers' times say."""
    outlook = trial.plan.network
    assert outlook is not None
    foretold = (outlook.dense.ms - outlook.planned.ms) / network.saved
    return (outlook.dense.ms - trial.ms(trial.ratio.median)) / foretold


def _best(trials: Sequence[Trial], target: float) -> Trial:
    reach = [each for each in trials if each.ms(each.ratio.median) <= target * (1 + NEAR)]
    if reach:
        return min(reach, key=lambda each: each.ratio.median)
    return max(trials, key=lambda each: each.ratio.median)


def _sentence(trials: Sequence[Trial]) -> str:
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
        settings: Settings,
        dtype: str,
        report: Callable[[str, int, int], None] = lambda message, done, total: None,
    ) -> None:
        self.session, self.graph, self.recipe, self.settings = session, graph, recipe, settings
        self.dtype, self.report = dtype, report

    @cached_property
    def _dense(self) -> Call:
        return self._loaded(None)

    def _loaded(self, plan: Plan | None) -> Call:
        return Compiled.of(Whole(self.graph, plan, self.dtype), self.recipe).load(self.session)

    def time(self, plan: Plan) -> Ratio:
        """Dense time / planned time, by wall clock.

        Raises:
            UsageError: a network failed. DeviceUnreachable: the device is gone.
        """
        settings = self.settings
        self.report("the whole network, planned and dense in turn", 0, 0)
        result = measure_interleaved(
            self.session, {"dense": self._dense, "planned": self._loaded(plan)}, SAMPLES_PER_ROUND * settings.rounds,
            warmup=1, clock="wall", min_repeat_secs=settings.sample_secs,
            timeout_secs=settings.network_timeout_secs, seed=settings.seed,
        )  # fmt: skip
        for name, found in result.measurements.items():
            if not found.ok:
                raise UsageError(f"the {name} network was not timed: {brief(found.error)}")
        return result.ratios["planned"]
