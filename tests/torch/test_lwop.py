"""The LWOP family: sizes given in the paper's tables, tracing, random weights."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from random_weights import check_traced, shake_batch_norms

from models.frontend.trace import trace
from models.networks.lwop import Lwop
from models.resolve import create_model
from tests import sweep


@pytest.mark.slow
def test_lwop_has_the_parameters_and_macs_of_the_paper():
    module = create_model("lwop")
    graph = trace(module, (3, 368, 368), "lwop")
    assert sum(parameter.numel() for parameter in module.parameters()) == 4_090_418
    assert graph.macs == 8_881_647_616


def test_human_pose_0001_has_the_published_parameters():
    assert sum(parameter.numel() for parameter in create_model("human_pose_0001").parameters()) == 4_099_058


@pytest.mark.slow
@pytest.mark.parametrize(("name", "convs"), [("lwop", 57), ("human_pose_0001", 58)])
def test_everything_but_one_concat_fuses_into_convolutions(name, convs):
    graph = trace(create_model(name), (3, 64, 64), name)
    assert Counter(layer.op for layer in graph.layers) == {"conv": convs, "concat": 1}
    assert graph.outputs == ("refinement_stages.0.heatmaps.1", "refinement_stages.0.pafs.1")
    sums = [layer for layer in graph.layers if any(step.kind == "add" for step in layer.epilogue)]
    assert [layer.name for layer in sums] == [
        "cpm.trunk.2.pointwise",
        *(f"refinement_stages.0.trunk.{block}.trunk.1" for block in range(5)),
    ]
    assert [str(step) for step in sums[0].epilogue] == ["elu:1", "add"]
    assert all([str(step) for step in layer.epilogue] == ["relu", "add"] for layer in sums[1:])


@sweep.part(2)
@pytest.mark.slow
@pytest.mark.parametrize("name", ["lwop", "human_pose_0001"])
@pytest.mark.parametrize("size", [(64, 96), (72, 40)])
def test_the_graph_computes_what_torch_does(name, size):
    check_traced(shake_batch_norms(create_model(name, seed=3)), (3, *size))


def test_layers_are_named_after_their_modules():
    module = create_model("lwop")
    graph = trace(module, (3, 32, 32))
    assert [layer.name for layer in graph.layers[:3]] == ["model.0", "model.1.depthwise", "model.1.pointwise"]
    modules = dict(module.named_modules())
    for layer in graph.layers:
        if layer.op == "conv":
            assert tuple(modules[layer.module].weight.shape) == layer.weight_shape


def test_stages_are_all_outputs_and_forward_the_last():
    module = create_model("lwop")
    x = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stages = module.stages(x)
        heatmaps, pafs = module(x)
    assert [tuple(stage.shape) for stage in stages] == [(2, 19, 8, 6), (2, 38, 8, 6)] * 2
    assert torch.equal(heatmaps, stages[2])
    assert torch.equal(pafs, stages[3])


@pytest.mark.parametrize("name", ["lwop", "human_pose_0001"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_activations_neither_vanish_nor_explode(name, seed):
    module = create_model(name, seed=seed)
    spreads = {}
    for path, part in module.named_modules():
        if path.endswith("conv"):
            part.register_forward_hook(lambda _part, _x, y, path=path: spreads.update({path: y.std().item()}))
    with torch.no_grad():
        module(torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(seed)) - 0.5)
    outside = {path: spread for path, spread in spreads.items() if not 0.02 < spread < 20}
    assert not outside


@pytest.mark.slow
@pytest.mark.long
def test_more_refinement_stages_trace_as_well():
    module = Lwop(refinements=3).eval()
    graph = check_traced(shake_batch_norms(module), (3, 32, 40))
    assert Counter(layer.op for layer in graph.layers)["concat"] == 3
    assert len(module.stages(torch.zeros(1, 3, 32, 40))) == 8
