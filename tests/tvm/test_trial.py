"""Plans tried as whole networks: what was saved decides the next one."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from devices.timing.interleaved import Ratio
from fleetpose.errors import UsageError
from latency.cost_model.predictor import Prediction
from latency.network_model.forecast import PredictedStep
from latency.planning.assignment import LayerOptions, allowed_options
from latency.planning.choosing import Goal, choose_options, target_of
from latency.planning.explain_plan import dense_reason, make_plan
from latency.planning.gains import Caution, KernelOption
from latency.planning.known_times import WorkloadTimes
from latency.planning.options import NetworkOptions
from latency.planning.reasons import DenseKind
from latency.planning.refine import NEAR, TRIALS, refine_by_trials
from models.graph.network import Graph
from models.plans.cost import Cost, Outlook
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.plans.time_estimate import TimeEstimate

GOAL = Goal(speedup=1.5)
GRAPH = Graph("net", "x", (3, 8, 8), ("x",), (), {})


def option(ms: float, zeros: float = 0.0, loss: float = 0.0) -> KernelOption:
    sparsity = Sparsity("columns", zeros, (4, 1)) if zeros else None
    return KernelOption(ms, ms / 1.01, ms * 1.01, sparsity, 1 - zeros, loss)


def network(seed: int = 0, count: int = 12, whole_ms: float = 60.0) -> NetworkOptions:
    """Layers of random times, measured as a whole, in which zeros save in proportion to what they cost in accuracy."""
    random = np.random.default_rng(seed)
    layers = []
    for number in range(count):
        ms = float(random.uniform(1, 6))
        variants = [
            option(ms * (1 - 0.9 * z), z, z / (1 - z) * random.uniform(0.8, 1.2)) for z in (0.3, 0.5, 0.7, 0.85)
        ]
        layers.append(LayerOptions(f"l{number}", option(ms), tuple(variants)))
    steps = [
        PredictedStep(
            each.layer, "conv", "k", None, Prediction(each.dense.ms, each.dense.low, each.dense.high), 1, 0, number
        )
        for number, each in enumerate(layers)
    ]
    rest = PredictedStep("pool", "pool", "k", None, Prediction(4.0, 3.9, 4.1), 1, 0, "pool")
    found = NetworkOptions(GRAPH, (*steps, rest), tuple(layers), {})
    return replace(found, whole=Cost(whole_ms, measured=True))


class Device:
    """Saves `worth` of what layers alone say; keeps plans and what it said of them. Its clock scatters by `noise`."""

    def __init__(self, of: NetworkOptions, worth: float, noise: float = 0.0, seed: int = 0) -> None:
        self.network, self.worth, self.plans, self.ratios = of, worth, list[Plan](), list[Ratio]()
        self.noise, self.random = noise, np.random.default_rng(seed)

    def time(self, plan: Plan) -> Ratio:
        self.plans.append(plan)
        ratio = self.speedup(plan) * float(np.exp(self.noise * self.random.normal()))
        self.ratios.append(Ratio(ratio, 0.98 * ratio, 1.02 * ratio, (ratio,)))
        return self.ratios[-1]

    def speedup(self, plan: Plan) -> float:
        """The true one."""
        chosen = [
            next(each for each in (layer.dense, *layer.variants) if each.sparsity == plan[layer.layer].sparsity)
            for layer in self.network.layers
        ]
        dense, alone = (self.network.total(each).ms for each in (self.network.dense, chosen))
        return dense / (dense - self.worth * (dense - alone))


def decided(of: NetworkOptions, goal: Goal = GOAL) -> Plan:
    return make_plan(of, choose_options(of, goal), goal)


def outlook(plan: Plan) -> Outlook:
    assert plan.network is not None
    return plan.network


def loss(plan: Plan, of: NetworkOptions) -> float:
    return sum(
        each.loss
        for layer in of.layers
        for each in layer.variants
        if each.sparsity is not None and each.sparsity == plan[layer.layer].sparsity
    )


@pytest.mark.parametrize("worth", [0.75, 0.9, 1.25])
@pytest.mark.parametrize("seed", range(3))
def test_refine_makes_a_second_plan_that_does_what_the_first_was_to(seed, worth):
    start = network(seed)
    device = Device(start, worth)
    plan = refine_by_trials(start, GOAL, decided, device.time)
    found = outlook(plan)
    assert found.planned.measured
    assert found.dense.ms / found.planned.ms == pytest.approx(GOAL.speedup, rel=NEAR)
    assert 2 <= len(device.plans) <= TRIALS
    assert found.predicted is not None
    assert found.predicted.ms == pytest.approx(found.planned.ms, rel=0.02)
    assert found.notes[-1].count("predicted") == len(device.plans)
    first, last = (loss(each, start) for each in (device.plans[0], plan))
    assert (last > first) == (worth < 1), "too little was saved: more zeros; too much: fewer"


@pytest.mark.parametrize("worth", [0.75, 0.9, 1.25])
def test_refine_without_time_decides_again_and_times_once(worth):
    start = network()
    device = Device(start, worth)
    plan = refine_by_trials(start, GOAL, decided, device.time, lambda: True)
    assert len(device.plans) == 1
    assert plan.sparsities != device.plans[0].sparsities
    assert device.speedup(plan) == pytest.approx(GOAL.speedup, rel=NEAR), "what the trial said of zeros is heeded"
    planned = outlook(plan).planned
    assert not planned.measured
    assert planned.low <= start.whole.ms / device.speedup(plan) <= planned.high
    assert "not timed again" in outlook(plan).notes[-1]


def test_refine_does_not_chase_a_noisy_clock():
    start, off = network(), []
    for seed in range(40):
        device = Device(start, 0.9, noise=0.05, seed=seed)
        off.append(device.speedup(refine_by_trials(start, GOAL, decided, device.time)) / GOAL.speedup - 1)
    untried = Device(start, 0.9).speedup(decided(start)) / GOAL.speedup - 1
    assert np.mean(np.abs(off)) < abs(untried)
    assert abs(np.mean(off)) < 0.02


def test_refine_reports_a_time_nearer_to_the_truth_than_the_trial_that_is_taken():
    """All trials say what zeros are worth; the one that is taken is only one of them."""
    start, said_off, trial_off = network(), [], []
    for seed in range(60):
        device = Device(start, 0.9, noise=0.05, seed=seed)
        plan = refine_by_trials(start, GOAL, decided, device.time)
        planned, true = outlook(plan).planned, start.whole.ms / device.speedup(plan)
        taken = next(
            ratio
            for tried, ratio in zip(device.plans, device.ratios, strict=True)
            if tried.sparsities == plan.sparsities
        )
        said_off.append(planned.ms / true - 1)
        trial_off.append(start.whole.ms / taken.median / true - 1)
        assert planned.low <= planned.ms <= planned.high
    assert np.mean(np.abs(said_off)) < 0.95 * np.mean(np.abs(trial_off))


def test_refine_tries_once_what_holds():
    start = network()
    device = Device(start, 1.0)
    plan = refine_by_trials(start, GOAL, decided, device.time)
    assert len(device.plans) == 1
    assert plan.sparsities == decided(start).sparsities
    assert outlook(Plan.from_json(plan.to_json())) == outlook(plan)


def test_refine_keeps_the_fastest_when_out_of_reach():
    start = network()
    goal = Goal(speedup=3.0)
    device = Device(start, 0.7)
    plan = refine_by_trials(start, goal, lambda of: decided(of, goal), device.time)
    found = outlook(plan)
    assert found.dense.ms / found.planned.ms < 0.9 * 3.0
    assert plan.sparsities in [each.sparsities for each in device.plans]
    assert "3.0" in found.notes[-1]


@pytest.mark.parametrize("worth", [0.0, -0.5])
def test_refine_ends_where_zeros_save_nothing(worth):
    start = network()
    device = Device(start, worth)
    assert outlook(refine_by_trials(start, GOAL, decided, device.time)).planned.ms >= 0.99 * 60
    assert len(device.plans) == 1


def test_refine_does_not_time_a_dense_plan():
    start = network()
    device = Device(start, 1.0)
    goal = Goal(target_ms=70.0)
    plan = refine_by_trials(start, goal, lambda of: decided(of, goal), device.time)
    assert not plan.sparsities
    assert not device.plans
    assert not outlook(plan).planned.measured


@pytest.mark.parametrize("saved", [0.6, 1.0, 1.4])
def test_a_choice_by_what_is_saved_is_the_best_of_all(saved):
    start = replace(network(5, count=4), saved=saved)
    target = target_of(start, GOAL)
    assert target is not None
    every = [list(each) for each in itertools.product(*(allowed_options(layer) for layer in start.layers))]
    reach = [each for each in every if start.total(each).ms <= target + 1e-9]
    if not reach:
        with pytest.raises(UsageError, match="cannot take"):
            choose_options(start, GOAL)
        return
    found = choose_options(start, GOAL)
    assert start.total(found).ms <= target + 1e-6
    assert sum(each.loss for each in found) == pytest.approx(min(sum(e.loss for e in each) for each in reach))
    dense, alone = start.total(start.dense).ms, replace(start, saved=1.0).total(found).ms
    assert start.total(found).ms == pytest.approx(dense - saved * (dense - alone))


def test_measured_options_are_in_no_doubt():
    """The reason of a layer whose measured gain is within the noise is that, and not the doubt of its predictions."""
    dense, sparse = (replace(option(ms, zeros), doubt="never seen") for ms, zeros in ((2.0, 0.0), (1.0, 0.5)))
    times = WorkloadTimes({None: TimeEstimate(2.0, 1.8, 2.2), sparse.sparsity: TimeEstimate(1.9, 1.7, 2.1)}, {})
    layer = LayerOptions("l", dense, (sparse,))
    assert dense_reason(layer, Caution(confidence=0.95)).kind is DenseKind.DOUBTED
    assert dense_reason(times.replace_in(layer), Caution(confidence=0.95)).kind is DenseKind.UNSURE
