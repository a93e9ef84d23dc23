"""A network with a weight used several times, and one with grouped layers, pruned and run on this machine's OpenCL."""

import numpy as np
import pytest
import torch
from torch import nn

from codegen.kernels.pack import departure
from codegen.lowering.network import Options
from codegen.lowering.planned import planned_graphs
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.plans.eligible import prunable
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from tests.host.network_check import TOLERANCE, run_network
from tests.small_network import Fn

SHAPE = (3, 20, 27)


def tied() -> nn.Module:
    def forward(self, x):
        y = torch.relu(self.stem(x))
        y = torch.relu(self.again(torch.relu(self.again(y))))
        return self.out(torch.relu(self.norm1(self.left(y))) + torch.relu(self.norm2(self.right(y))))

    torch.manual_seed(2)
    parts = {name: nn.Conv2d(8, 8, 3, 1, 1) for name in ("again", "left", "right")}
    norms = {"norm1": nn.BatchNorm2d(8), "norm2": nn.BatchNorm2d(8)}
    module = Fn(forward, stem=nn.Conv2d(3, 8, 3, 2, 1), out=nn.Conv2d(8, 4, 1), **parts, **norms)
    module.right.weight = module.left.weight
    with torch.no_grad():
        module.norm2.weight.uniform_(0.5, 2.0)
        module.norm2.running_var.uniform_(0.5, 2.0)
    return module.eval()


def grouped() -> nn.Module:
    torch.manual_seed(3)
    wide = nn.Conv2d(16, 24, 3, 2, 1, groups=4)  # 6 filters a group: other blocks than the rest
    up = nn.ConvTranspose2d(24, 16, 4, 2, 1, groups=2)
    layers = (nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(16, 16, 3, 1, 1, groups=2), wide, up, nn.Conv2d(16, 16, 1, groups=4))
    steps = [step for layer in layers for step in (layer, nn.ReLU())]
    return nn.Sequential(*steps, nn.Conv2d(16, 4, 1)).eval()


@pytest.mark.parametrize("create", [tied, grouped])
def test_pruned_network_is_right_on_the_device(host, tmp_path, create):
    graph = trace(create(), SHAPE, "net")
    texts = ("columns:0.6:4x1", "columns:0.6:2x1")
    sparse = {}
    for layer in prunable(graph):
        sparse[layer.name] = next(s for s in map(Sparsity.parse, texts) if s.applies_to(layer) is None)
    plan = Plan.of("net", graph.layers, sparse)
    assert len(plan.sparsities) == 4
    (pruned,), changed = planned_graphs([graph], plan, prune=True)
    assert changed
    for name, sparsity in plan.sparsities.items():
        assert departure(pruned.weights[f"{name}.weight"], sparsity) is None
    x = np.random.default_rng(1).standard_normal((1, *SHAPE)).astype(np.float32)
    results = run_network(host, pruned, x, tmp_path, Options(sparsity=plan.sparsities))
    for result, truth in zip(results, run_graph(pruned, x.astype(np.float64)), strict=True):
        assert np.abs(result - truth).max() <= TOLERANCE * np.abs(truth).max()
