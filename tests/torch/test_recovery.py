"""Recovery: blocks are the network cut up, masks hold, errors fall, and an interrupted run ends as an uninterrupted."""

from __future__ import annotations

import copy
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from random_weights import shake_batch_norms
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.network import Graph
from models.networks.units import ConvUnit, SeparableUnit, initialise
from models.plans.eligible import prunable
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.preprocess import Preprocessing
from models.prune.masks.binding import adopt
from models.prune.oneshot import prune_graph
from models.prune.recovery import recover as recovery
from models.prune.recovery.blocks import cut_blocks
from models.prune.recovery.blockwise import BlockCache, BlockTraining
from models.prune.recovery.choosing import take_best
from models.prune.recovery.distilling import Distillation
from models.prune.recovery.free_weights import FreeWeights
from models.prune.recovery.natural import measure_moments
from models.prune.recovery.recover import RecoverySubject, learning_graph, recover
from models.prune.recovery.views import RecoveryViews
from models.prune.settings import RecoverySettings, recovery_settings
from models.zoo.spec import ModelSpec
from tests import sweep

SIDE = 32
SHAPE = (3, SIDE, SIDE)
SPARSITY = Sparsity.parse("columns:0.5:4x1")


class Units(nn.Module):
    """Residual sums, a depthwise layer, a unit that is called twice, a long way round, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvUnit(3, 16, stride=2)
        self.one = ConvUnit(16, 16, activation=None)
        self.separable = SeparableUnit(16, 24)
        self.twice = ConvUnit(24, 24, 3)
        self.left = ConvUnit(24, 5, 1, activation=None)
        self.right = ConvUnit(40, 7, 1, activation=None)

    def forward(self, x):
        stem = self.stem(x)
        x = self.separable(torch.relu(self.one(stem) + stem))
        x = x + self.twice(self.twice(x))
        return self.left(x), self.right(torch.cat([x, stem], 1))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    module = Units().eval()
    initialise(module, 1)
    return shake_batch_norms(module)


@pytest.fixture(scope="module")
def graph(network) -> Graph:
    return trace(network, SHAPE, "units")


@pytest.fixture(scope="module")
def plan(graph) -> Plan:
    return Plan.of("units", graph.layers, dict.fromkeys((layer.name for layer in prunable(graph)), SPARSITY))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(5)]
    for path in paths:
        small = random.integers(0, 256, (6, 9, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, (90, 60), interpolation=cv2.INTER_CUBIC))
    return paths


def spec_of(network: nn.Module) -> ModelSpec:
    preprocessing = Preprocessing((128, 128, 128), 1 / 64)
    return ModelSpec("units", lambda: network, preprocessing, (SIDE, SIDE), ("left", "right"), 2)


def inputs(count: int, seed: int = 0) -> np.ndarray:
    small = torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 3, 8, 8)).astype(np.float32))
    return nn.functional.interpolate(small, size=SHAPE[1:], mode="bicubic").numpy()


def zeros_of(weights, plan: Plan) -> dict[str, np.ndarray]:
    return {name: weights[f"{name}.weight"] == 0 for name in plan.sparsities}


def same_masks(before: Graph, after: Graph, plan: Plan) -> bool:
    """Exactly: what was zero is zero, and what was not has moved."""
    old, new = zeros_of(before.weights, plan), zeros_of(after.weights, plan)
    return all(np.array_equal(old[name], new[name]) for name in old)


@pytest.mark.parametrize(("least", "most"), [(1, 1), (1, 3), (2, 5), (20, 30)])
def test_blocks_run_one_after_the_other_are_the_network_in_float64(network, least, most):
    exact = copy.deepcopy(network).double()
    graph = trace(exact, SHAPE, "units", dtype=np.float64)
    blocks = cut_blocks(graph, least, most)
    assert [layer.name for block in blocks for layer in block.layers] == [layer.name for layer in graph.layers]
    weights = {name: torch.from_numpy(value) for name, value in graph.weights.items()}
    x = inputs(3).astype(np.float64)
    cache = BlockCache.at_input(graph, x)
    for number, block in enumerate(blocks):
        needed = {name for later in blocks[number + 1 :] for name in later.reads} | set(graph.outputs)
        cache = cache.behind(block, needed, weights, weights, batch=2)
    with torch.no_grad():
        expected = exact(torch.from_numpy(x))
    for name, tensor in zip(graph.outputs, expected, strict=True):
        torch.testing.assert_close(cache.dense[name], tensor, rtol=0, atol=1e-9)
        assert torch.equal(cache.pruned[name], cache.dense[name])


def test_a_block_ends_where_one_tensor_crosses(graph):
    blocks = cut_blocks(graph, 1, 3)
    stem, residual = blocks[0], blocks[1]
    assert set(stem.makes) == {"stem"} or "stem" in stem.makes
    assert all(name in {*stem.makes, graph.input} for name in residual.reads)


def test_masks_stay_and_errors_fall_where_all_weights_move(graph, plan):
    pruned = prune_graph(graph, plan)
    free = FreeWeights(graph, pruned, plan.sparsities)
    distillation = Distillation(graph, free, cut_blocks(graph), 0.3, inputs(4, 90))
    errors = [distillation.step(inputs(4, seed), 0.02) for seed in range(40)]
    assert np.mean(errors[-5:]) < 0.5 * errors[0]
    assert same_masks(pruned, free.result(), plan)


def test_a_recovery_that_did_harm_is_taken_back(graph, plan):
    pruned = prune_graph(graph, plan)
    free = FreeWeights(graph, pruned, plan.sparsities)
    distillation, start = Distillation(graph, free, cut_blocks(graph), 0.0, inputs(4, 90)), free.values()
    before = distillation.judge()
    for tensor in free.tensors.values():
        tensor.value.detach().mul_(3.0)
    assert distillation.judge() > before
    assert take_best(free, start, distillation.judge) == (0.0, pytest.approx(before), pytest.approx(before))
    for name, value in free.values().items():
        assert torch.equal(value, start[name])


def test_masks_stay_and_errors_fall_block_by_block(graph, plan):
    pruned = prune_graph(graph, plan)
    free, errors = FreeWeights(graph, pruned, plan.sparsities), []
    blocks = cut_blocks(graph, 1, 3)
    moments = measure_moments(graph, free, inputs(12))

    def progress(_: int, step: int) -> float:
        return step / 60

    def after_block(_: int, first: float, last: float) -> None:
        errors.append((first, last))

    BlockTraining(graph, free, moments, blocks, 4, 0.1, progress, after_block).run(inputs(12))
    firsts, lasts = zip(*errors, strict=True)
    assert len(lasts) == len(blocks) == len(firsts)
    assert sum(lasts) < 0.7 * sum(firsts)
    assert same_masks(pruned, free.result(), plan)


def test_tied_layers_move_as_one_and_return_to_their_network(network, graph, plan):
    free = FreeWeights(graph, prune_graph(graph, plan), plan.sparsities)
    distillation = Distillation(graph, free, cut_blocks(graph), 0.0, inputs(2, 90))
    for seed in range(3):
        distillation.step(inputs(2, seed), 0.05)
    moved = free.result()
    changed = copy.deepcopy(network)
    adopt(changed, graph, moved)
    again = trace(changed, SHAPE)
    for name, value in moved.weights.items():
        np.testing.assert_allclose(again.weights[name], value, atol=1e-5 * np.abs(value).max())
    assert same_masks(moved, again, plan)


def run(network, graph, plan, photographs, settings, checkpoint=None, report=None) -> Graph:
    subject = RecoverySubject(network, spec_of(network), graph, plan.sparsities, photographs)
    more = {} if report is None else {"report": report}
    return recover(subject, lambda: prune_graph(graph, plan), settings, checkpoint=checkpoint, **more)


@sweep.part(2)
@pytest.mark.parametrize("blocks", [0.0, 0.5])
@pytest.mark.parametrize("stop_at", [3, 9])
def test_an_interrupted_recovery_ends_as_an_uninterrupted_one(
    network, graph, plan, photographs, tmp_path, monkeypatch, blocks, stop_at
):
    settings = RecoverySettings(steps=5, blocks=blocks, side=24, batch=2, views=6, checkpoint_secs=0)
    whole = run(network, graph, plan, photographs, settings)
    reports = []

    class Course(recovery.RecoveryCourse):
        def after_step(self, state):
            self.interrupted = lambda: len(reports) == stop_at
            super().after_step(state)

    monkeypatch.setattr(recovery, "RecoveryCourse", Course)
    resumed, interruptions = None, 0
    while resumed is None:
        try:
            resumed = run(
                network, graph, plan, photographs, settings, tmp_path / "c.recovery", lambda *a: reports.append(a)
            )
        except KeyboardInterrupt:
            interruptions += 1
            assert interruptions < 3
    assert interruptions == (stop_at <= len(reports))
    for name, value in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], value, err_msg=name)
    assert same_masks(prune_graph(graph, plan), resumed, plan)
    other = replace(settings, seed=1)
    with pytest.raises(UsageError, match="another"):
        run(network, graph, plan, photographs, other, tmp_path / "c.recovery")
    content = torch.load(tmp_path / "c.recovery")
    for entry in ("secs", "start", "learnt"):
        kept = {name: value for name, value in content["state"].items() if name != entry}
        torch.save({**content, "state": kept}, tmp_path / "c.recovery")
        with pytest.raises(UsageError, match=r"c.recovery holds no state of this training \(.*\); --restart"):
            run(network, graph, plan, photographs, settings, tmp_path / "c.recovery")


def test_views_are_functions_of_their_position(network, photographs):
    views = RecoveryViews(photographs, spec_of(network), (24, 40), seed=3)
    batch = views.batch(4, 3)
    assert batch.shape == (3, 3, 24, 40)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch[1:2], views.batch(5, 1))
    assert not np.array_equal(batch[0], batch[1])
    assert not np.array_equal(batch, RecoveryViews(photographs, spec_of(network), (24, 40), seed=4).batch(4, 3))


def test_networks_learn_at_a_smaller_size_where_they_take_it(network, graph):
    small = learning_graph(network, spec_of(network), graph, 17)
    assert small.input_shape == (3, 16, 16)
    fixed = replace(spec_of(network), fixed_size=True)
    assert learning_graph(network, fixed, graph, 16) is graph
    sized = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten(), nn.Linear(4 * 16 * 16, 6)).eval()
    traced = trace(sized, SHAPE)
    assert learning_graph(sized, spec_of(sized), traced, 16) is traced


def test_minutes_of_recovery():
    assert recovery_settings(0) is None
    asked = recovery_settings(5, seed=2)
    assert asked is not None
    assert (asked.minutes, asked.seed) == (5, 2)
    with pytest.raises(UsageError, match="0 or more"):
        recovery_settings(-1.0)
