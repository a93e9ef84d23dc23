"""Pruning of transposed convolutions: masks, layers solved anew, and the weights' way back into the torch network."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from random_weights import shake_batch_norms
from reconstruction_errors import error_over_masked
from torch import nn

from codegen.kernels.pack import departure
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.masks.binding import adopt, homes
from models.prune.masks.targets import Masks, find_targets
from models.prune.oneshot import prune_graph
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.reconstruction.reconstruct import reconstruct
from models.zoo.program import read_program

SHAPE = (3, 16, 20)
SPARSITY = Sparsity.parse("columns:0.5:4x1")


def network() -> nn.Module:
    torch.manual_seed(3)
    up, wide = nn.ConvTranspose2d(8, 8, 4, 2, 1, bias=False), nn.ConvTranspose2d(8, 6, 3, (1, 2), 1, (0, 1))
    stem, out = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(6, 3, 1)
    return shake_batch_norms(nn.Sequential(stem, nn.ReLU(), up, nn.BatchNorm2d(8), nn.ReLU(), wide, nn.ReLU(), out))


def inputs(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def test_reconstruction_of_transposed_convolutions_beats_plain_masks():
    graph = trace(network(), SHAPE)
    plan = Plan.of("up", graph.layers, {"2": SPARSITY, "5": SPARSITY})
    solved = reconstruct(graph, plan.sparsities, inputs(16, 0), ReconstructionSettings(samples=3000))
    for name in plan.sparsities:
        assert departure(solved.weights[f"{name}.weight"], SPARSITY) is None
    assert error_over_masked(graph, solved, prune_graph(graph, plan), inputs(4, 99)) < 0.7


def test_weights_of_transposed_convolutions_return_to_their_network():
    module = network()
    graph = trace(module, SHAPE)
    assert {"2", "5"} <= set(homes(module, graph))
    pruned = prune_graph(graph, Plan.of("up", graph.layers, {"2": SPARSITY, "5": SPARSITY}))
    changed = copy.deepcopy(module)
    adopt(changed, graph, pruned)
    again = trace(changed, SHAPE)
    for name, weight in pruned.weights.items():
        assert np.allclose(again.weights[name], weight, atol=1e-6), name
    assert departure(again.weights["2.weight"], SPARSITY) is None


def test_exported_transposed_convolutions_are_torchs_own_again(tmp_path):
    program = torch.export.export(network(), (torch.zeros(1, *SHAPE),))
    torch.export.save(program, tmp_path / "net.pt2")
    module = read_program(str(tmp_path / "net.pt2")).network()
    assert {"2", "5"} <= set(homes(module, trace(module, SHAPE)))


@pytest.mark.parametrize("name", ["2", "5"])
def test_masks_in_training_are_of_the_folded_weight(name):
    module = network()
    graph = trace(module, SHAPE)
    masks = Masks(targets := find_targets(module, graph, Plan.of("up", graph.layers, {name: SPARSITY})))
    masks.take({target.name: target.mask() for target in targets})
    assert departure(trace(module, SHAPE).weights[f"{name}.weight"], SPARSITY) is None
