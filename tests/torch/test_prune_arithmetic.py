"""Pruning of networks with arithmetic: weights scaled before or after a convolution find their way back."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_weights import shake_batch_norms
from torch import nn
from torch.nn.utils import parametrizations

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.masks.binding import adopt, homes
from models.prune.oneshot import prune_graph
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.reconstruction.reconstruct import reconstruct
from tests.small_network import Fn

SHAPE = (3, 12, 14)
SPARSITY = Sparsity.parse("columns:0.5:4x1")


def forward(self, x):
    y = F.relu(self.norm(self.stem((x - self.mean) / self.deviation)))
    z = F.prelu(self.mid(y) * self.scale, self.slope)
    gate = torch.sigmoid(self.up(F.relu(self.down(z.mean((2, 3), keepdim=True)))))
    return self.out(z * gate + 0.5 * self.side(y))


def network(**others) -> nn.Module:
    torch.manual_seed(3)
    parts = {"stem": nn.Conv2d(3, 8, 3, bias=False), "norm": nn.BatchNorm2d(8), "mid": nn.Conv2d(8, 8, 3, padding=1)}
    parts |= {
        "down": nn.Conv2d(8, 2, 1),
        "up": nn.Conv2d(2, 8, 1),
        "side": nn.Conv2d(8, 8, 1),
        "out": nn.Conv2d(8, 4, 1),
    }
    module = Fn(forward, **{**parts, "out": nn.Conv2d(8, 4, 1), **others})
    module.mean, module.deviation = (nn.Parameter(torch.rand(3, 1, 1) + 0.5) for _ in range(2))
    module.scale, module.slope = nn.Parameter(torch.randn(8, 1, 1)), nn.Parameter(torch.randn(8))
    return shake_batch_norms(module)


def test_scaled_convolutions_have_homes():
    module = network()
    known = homes(module, trace(module, SHAPE))
    assert set(known) == {"stem", "mid", "down", "up", "side", "out"}
    np.testing.assert_allclose(known["side"].scale, 0.5, rtol=1e-6)
    np.testing.assert_allclose(known["mid"].scale, module.scale.detach().flatten(), rtol=1e-5)
    np.testing.assert_allclose(known["stem"].in_scale, 1 / module.deviation.detach().flatten(), rtol=1e-5)


def test_weights_of_scaled_convolutions_return_to_their_network():
    module = network()
    graph = trace(module, SHAPE)
    pruned = prune_graph(graph, Plan.of("net", graph.layers, {"mid": SPARSITY, "side": SPARSITY}))
    changed = copy.deepcopy(module)
    adopt(changed, graph, pruned)
    again = trace(changed, SHAPE)
    for name, weight in pruned.weights.items():
        np.testing.assert_allclose(again.weights[name], weight, atol=1e-5)


def test_reconstruction_takes_gates_and_constants():
    module = network()
    graph = trace(module, SHAPE)
    pictures = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)
    plan = Plan.of("net", graph.layers, {"mid": SPARSITY, "side": SPARSITY})
    solved = reconstruct(graph, plan.sparsities, pictures, ReconstructionSettings(samples=500))
    changed = copy.deepcopy(module)
    adopt(changed, graph, solved)
    again = trace(changed, SHAPE)
    for name, weight in solved.weights.items():
        np.testing.assert_allclose(again.weights[name], weight, atol=1e-4)


def test_a_computed_weight_has_no_home():
    module = network(mid=parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1)))
    graph = trace(module, SHAPE)
    assert "mid" not in homes(module, graph)
    pruned = prune_graph(graph, Plan.of("net", graph.layers, {"mid": SPARSITY}))
    with pytest.raises(UsageError, match="layer 'mid'"):
        adopt(module, graph, pruned)
