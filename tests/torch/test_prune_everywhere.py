"""Pruning beside layers that stay as they are: transposed layers, grouped ones, ones of one channel."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from codegen.kernels.pack import departure
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.layers import layer_rows
from models.plans.eligible import prunable, why_dense
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.masks.binding import adopt
from models.prune.oneshot import prune_graph
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.reconstruction.reconstruct import reconstruct
from tests.small_network import Fn

SHAPE = (3, 12, 16)
SPARSITY = Sparsity.parse("columns:0.5:4x1")


def network() -> nn.Module:
    torch.manual_seed(0)

    def forward(self, x):
        y = torch.relu(self.stem(x))
        y = torch.relu(self.up(torch.relu(self.grouped(y))))
        y = torch.relu(self.shuffled(y.view(1, 2, 4, *y.shape[2:]).transpose(1, 2).reshape(y.shape)))
        one = self.one(y)
        return one * torch.sigmoid(self.from_one(one).mean(1, keepdim=True))

    parts = {
        "stem": nn.Conv2d(3, 8, 3, 1, 1),
        "shuffled": nn.Conv2d(8, 8, 3, 1, 1),
        "grouped": nn.Conv2d(8, 8, 3, 1, 1, groups=2),
        "up": nn.ConvTranspose2d(8, 8, 4, 2, 1),
        "one": nn.Conv2d(8, 1, 1),
        "from_one": nn.Conv2d(1, 4, 3, 1, 1),
    }
    return Fn(forward, **parts).eval()


def sparse_plan(graph) -> Plan:
    names = [
        layer.name for layer in graph.layers if layer.op == "conv" and layer.module in ("up", "shuffled", "grouped")
    ]
    return Plan.of("net", graph.layers, dict.fromkeys(names, SPARSITY))


@pytest.mark.parametrize("solved", [True, False], ids=["reconstructed", "masked"])
def test_transposed_and_grouped_layers_are_pruned_and_return(solved):
    module = network()
    graph = trace(module, SHAPE)
    plan = sparse_plan(graph)
    pictures = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)
    pruned = (
        reconstruct(graph, plan.sparsities, pictures, ReconstructionSettings(samples=400))
        if solved
        else prune_graph(graph, plan)
    )
    changed = copy.deepcopy(module)
    adopt(changed, graph, pruned)
    again = trace(changed, SHAPE)
    for name in plan.sparsities:
        assert departure(again.weights[f"{name}.weight"], SPARSITY) is None
    x = pictures[:1].astype(np.float64)
    with torch.no_grad():
        expected = changed.double()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run_graph(again, x)[0], expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("one", "one output channel"),
        ("from_one", "one input channel"),
        ("stem", "the first"),
    ],
)
def test_layers_that_are_left_alone_say_why(name, refusal):
    graph = trace(network(), SHAPE)
    assert name not in [layer.name for layer in prunable(graph)]
    reasons = (why_dense(graph, graph.layer(name)), SPARSITY.applies_to(graph.layer(name)))
    assert any(refusal in reason for reason in reasons if reason)
    row = next(row for row in layer_rows(graph) if row.name == name)
    assert row.dense == reasons[0]
