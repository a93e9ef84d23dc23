"""Weights that are used at several places of a network: pruned once, counted once, solved by all that read them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from random_weights import shake_batch_norms
from reconstruction_errors import error_over_masked
from torch import nn

from codegen.kernels.pack import departure
from fleetpose.errors import UsageError
from models.allocate import make_allocated_plan, uniform_plan
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.graph.tied import tied_layers
from models.plans.eligible import prunable, reasons_to_stay_dense
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import Sparsity
from models.prune.masks.binding import homes
from models.prune.masks.targets import Masks, find_targets
from models.prune.methods import prune_at_once
from models.prune.oneshot import prune_graph
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.reconstruction.reconstruct import reconstruct
from models.prune.response.outputs import layer_curves
from tests.small_network import Fn

SHAPE = (3, 16, 20)
SPARSITY = Sparsity.parse("columns:0.5:4x1")


def network() -> nn.Module:
    """A module called three times, two modules with one parameter and batch norms of their own, and a linear layer."""
    torch.manual_seed(5)

    def forward(self, x):
        y = torch.relu(self.stem(x))
        for _ in range(3):
            y = torch.relu(self.again(y))
        y = torch.relu(self.norm1(self.left(y))) + torch.relu(self.norm2(self.right(self.pool(y))))
        y = torch.relu(self.fc(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return self.out(y)

    parts = {
        "stem": nn.Conv2d(3, 8, 3, 1, 1),
        "again": nn.Conv2d(8, 8, 3, 1, 1),
        "left": nn.Conv2d(8, 12, 3, 1, 1, bias=False),
        "right": nn.Conv2d(8, 12, 3, 1, 1),
        "pool": nn.MaxPool2d(3, 1, 1),
        "norm1": nn.BatchNorm2d(12),
        "norm2": nn.BatchNorm2d(12),
        "fc": nn.Linear(12, 16),
        "out": nn.Conv2d(16, 5, 1),
    }
    module = Fn(forward, **parts)
    module.right.weight = module.left.weight
    return shake_batch_norms(module).eval()


def inputs(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def plan_of(graph) -> Plan:
    return Plan.of("net", graph.layers, dict.fromkeys((layer.name for layer in prunable(graph)), SPARSITY))


def test_tied_layers_are_found_and_counted_once():
    module = network()
    graph = trace(module, SHAPE)
    assert tied_layers(graph.layers) == {"again": ("again", "again_2", "again_3"), "left": ("left", "right")}
    assert [layer.name for layer in prunable(graph)] == ["again", "left", "fc"]
    weights = sum(value.numel() for name, value in module.named_parameters() if "norm" not in name)
    assert graph.params == weights + 12  # the norm after `left` gives it a bias
    plan = plan_of(graph)
    assert set(plan.sparsities) == {"again", "again_2", "again_3", "left", "right", "fc"}
    assert plan.removed_weights(graph.layers) == (8 * 72 + 12 * 72 + 12 * 16) // 2


def test_a_plan_gives_tied_layers_the_same():
    graph = trace(network(), SHAPE)
    choices = [LayerChoice(layer.name) for layer in graph.layers if layer.op == "conv"]
    one = [LayerChoice("again_2", SPARSITY) if choice.layer == "again_2" else choice for choice in choices]
    with pytest.raises(UsageError, match="layers 'again' and 'again_2' share their weight"):
        Plan("net", tuple(one)).check(graph.layers)


@pytest.mark.parametrize("solved", [True, False], ids=["reconstructed", "masked"])
def test_tied_weights_return_to_their_network(solved):
    module = network()
    graph = trace(module, SHAPE)
    plan = plan_of(graph)
    changed = copy.deepcopy(module)
    prune_at_once(changed, graph, plan, inputs(6, 0) if solved else None, ReconstructionSettings(samples=900))
    again = trace(changed, SHAPE)
    assert tied_layers(again.layers) == tied_layers(graph.layers)
    for name in plan.sparsities:
        assert departure(again.weights[f"{name}.weight"], SPARSITY) is None, name
    for names in tied_layers(graph.layers).values():
        masks = [again.weights[f"{name}.weight"] != 0 for name in names]
        assert all(np.array_equal(masks[0], mask) for mask in masks)
    x = inputs(1, 7)
    with torch.no_grad():
        expected = changed.double()(torch.from_numpy(x.astype(np.float64))).numpy()
    np.testing.assert_allclose(run_graph(again, x.astype(np.float64))[0], expected, atol=1e-5 * np.abs(expected).max())


def test_reconstruction_of_tied_weights_beats_plain_masks():
    graph = trace(network(), SHAPE)
    plan = plan_of(graph)
    solved = reconstruct(graph, plan.sparsities, inputs(16, 0), ReconstructionSettings(samples=3000))
    assert error_over_masked(graph, solved, prune_graph(graph, plan), inputs(4, 99)) < 0.5


def test_a_training_holds_one_mask_for_a_tied_weight():
    module = network()
    graph = trace(module, SHAPE)
    plan = plan_of(graph)
    targets = find_targets(module, graph, plan)
    assert [target.name for target in targets] == ["again.weight", "right.weight", "fc.weight"]
    masks = Masks(targets)
    masks.take({target.name: target.mask() for target in targets})
    masks.project(module)
    again = trace(module, SHAPE)
    assert all(departure(again.weights[f"{name}.weight"], SPARSITY) is None for name in plan.sparsities)


def test_a_curve_of_a_tied_weight_is_of_all_its_uses():
    graph = trace(network(), SHAPE)
    settings = ReconstructionSettings(samples=600)
    curves = dict(layer_curves(graph, ["again", "left"], SPARSITY, (0.5, 0.75), inputs(4, 1), inputs(2, 2), settings))
    assert all(0 < curve[0.5] < curve[0.75] for curve in curves.values())
    plan = make_allocated_plan(graph, {"columns:4x1": curves}, 1.5, "macs")
    left = graph.macs - plan.removed_macs(graph.layers)
    assert 0.6 * graph.macs < left <= graph.macs / 1.5


@pytest.mark.parametrize("counted", ["params", "macs"])
def test_uniform_plans_count_what_tied_layers_take(counted):
    graph = trace(network(), SHAPE)
    plan = uniform_plan(graph, "columns:4x1", 1.3, counted)
    total = graph.params if counted == "params" else graph.macs
    removed = plan.removed_weights(graph.layers) if counted == "params" else plan.removed_macs(graph.layers)
    assert 0.95 * total / 1.3 < total - removed <= total / 1.3


def test_a_weight_used_in_two_orders_is_not_tied():
    class Mirrored(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.down, self.out = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            y = torch.relu(self.down(torch.relu(self.stem(x))))
            return self.out(torch.relu(nn.functional.conv_transpose2d(y, self.down.weight, padding=1)))

    module = Mirrored().eval()
    graph = trace(module, SHAPE)
    assert tied_layers(graph.layers) == {}
    assert prunable(graph) == []
    assert "computed" in (reasons_to_stay_dense(graph)["down"] or "")
    assert set(homes(module, graph)) == {"stem", "out"}


def test_dense_layers_whose_weight_is_computed_are_left_as_they_are():
    """Reconstruction solves dense layers anew, but what it could not write back it must not change."""
    torch.manual_seed(1)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, 1, 1))
    layers = (nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1), normed, nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 4, 1))
    module = nn.Sequential(*[step for layer in layers for step in (layer, nn.ReLU())][:-1]).eval()
    graph = trace(module, SHAPE)
    plan = plan_of(graph)
    prune_at_once(module, graph, plan, inputs(4, 0), ReconstructionSettings(samples=500))
    again = trace(module, SHAPE)
    assert set(plan.sparsities) == {"2", "6"}
    assert np.allclose(again.weights["4.weight"], graph.weights["4.weight"])
    assert all(departure(again.weights[f"{name}.weight"], SPARSITY) is None for name in plan.sparsities)


def test_a_module_of_ones_own_keeps_its_weight_and_bias():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(8, 8, 3, 3)), nn.Parameter(torch.randn(8))

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight, self.bias, padding=1)

    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), Own(), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    graph = trace(module, SHAPE)
    plan = plan_of(graph)
    prune_at_once(module, graph, plan, inputs(4, 0), ReconstructionSettings(samples=500))
    assert departure(module[2].weight.detach().numpy(), SPARSITY) is None
    again = trace(module, SHAPE)
    x = inputs(1, 3)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run_graph(again, x)[0], expected, atol=1e-4 * np.abs(expected).max())
