"""The paper's pruned networks: what is left of them, and which layers are pruned."""

from __future__ import annotations

import numpy as np
import pytest

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.plans.explain import explain
from models.plans.paper_plan import PAPER_PLANS, paper_plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph
from models.resolve import create_model, model_spec
from models.zoo.count import count_model

ROWS = [
    pytest.param(model, ratio, marks=[pytest.mark.long] if model == "efficientnet" else [])
    for model in PAPER_PLANS
    for ratio in PAPER_PLANS[model]
]


@pytest.fixture(scope="module")
def graphs():
    return Graphs()


class Graphs(dict):
    """Networks by name, traced when they are asked for."""

    def __missing__(self, name):
        return self.setdefault(name, trace(create_model(name), (3, *model_spec(name).size), name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "ratio", "params_m", "gmacs"),
    [  # by counting; the paper says 3.76 / 9.7, 3.15 / 8.3 and 1.68 / 4.7
        ("resnet50_3", "1.80x", 3.765, 9.64),
        ("resnet50_3", "2.15x", 3.154, 8.33),
        pytest.param("efficientnet", "2.01x", 1.675, 4.70, marks=pytest.mark.long),
    ],
)
def test_what_is_left_is_what_the_paper_prints(graphs, model, ratio, params_m, gmacs):
    layers, counted = graphs[model].layers, count_model(model_spec(model))
    columns = Sparsity.parse("columns:0.5:8x1")  # units so small that what is kept is the ratio itself
    plan = paper_plan(model, layers, ratio, columns, columns)
    params, macs = counted.params - plan.removed_weights(layers), counted.macs_bn - plan.removed_macs(layers)
    assert params / 1e6 == pytest.approx(params_m, abs=0.0015)
    assert macs / 1e9 == pytest.approx(gmacs, abs=0.006)
    assert counted.params / params == pytest.approx(float(ratio[:-1]), rel=0.006)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "ratio"), ROWS)
def test_every_row_has_layers_and_first_and_last_are_dense(graphs, model, ratio):
    layers = graphs[model].layers
    plan = paper_plan(model, layers, ratio)
    for row in PAPER_PLANS[model][ratio]:
        held = [layer for layer in layers if row.holds(layer)]
        assert held, row
        assert all(len([other for other in PAPER_PLANS[model][ratio] if other.holds(layer)]) == 1 for layer in held)
    outputs = [layer.name for layer in layers if layer.op == "conv" and layer.out_shape[0] in (19, 38)]
    assert len(outputs) == 4
    assert not {layers[0].name, *outputs} & set(plan.sparsities)


def test_paper_plan_of_resnet_at_1_80_layer_by_layer(graphs):
    plan = paper_plan("resnet50_3", graphs["resnet50_3"].layers, "1.80x")
    zeros = {name: sparsity.zeros for name, sparsity in plan.sparsities.items()}
    assert zeros["backbone.layers.0.3.middle"] == 0.5
    assert zeros["backbone.layers.1.3.middle"] == 0.6667
    assert zeros["backbone.layers.1.0.downsample"] == zeros["neck.1"] == 0.6
    assert zeros["initial_stage.heatmaps.2"] == zeros["refinement_stages.0.heatmaps.14"] == 0.5
    assert len(zeros) == 7 + 16 + 33 + 2 + 18
    assert plan["refinement_stages.0.pafs.3"].sparsity is None
    assert plan["neck.0"].reason == "neck: 2.5x in the paper's 1.80x"
    assert "resnet50_3: 76 of 118 convolutions sparse" in explain(plan)


def test_1x1_and_3x3_may_have_different_patterns(graphs):
    templates = Sparsity.parse("block_punched:0.9:16x4"), Sparsity.parse("columns:0.9:8x1:free")
    plan = paper_plan("resnet50_3", graphs["resnet50_3"].layers, "2.15x", *templates)
    assert str(plan["backbone.layers.1.3.reduce"].sparsity) == "block_punched:0.75:16x4"
    assert str(plan["refinement_stages.0.pafs.1"].sparsity) == "columns:0.5:8x1:free"


def test_paper_plan_refuses_what_the_paper_does_not_have(graphs):
    layers = graphs["resnet50_3"].layers
    with pytest.raises(UsageError, match="did you mean 'resnet50_3'"):
        paper_plan("resnet50", layers, "1.80x")
    with pytest.raises(UsageError, match=r"unknown ratio of resnet50_3 '1.8x'; did you mean '1.80x'"):
        paper_plan("resnet50_3", layers, "1.8x")
    with pytest.raises(UsageError, match="5/9"):
        paper_plan("resnet50_3", layers, "1.80x", spatial=Sparsity.parse("pattern:0.75"))


def test_the_pruned_network_has_so_many_zeros(graphs):
    graph = graphs["resnet50_3"]
    plan = paper_plan("resnet50_3", graph.layers, "2.15x")
    pruned = prune_graph(graph, plan)
    zeros = sum(int((weight == 0).sum()) for name, weight in pruned.weights.items() if name.endswith(".weight"))
    assert zeros == pytest.approx(plan.removed_weights(graph.layers), rel=0.001)
    assert np.array_equal(pruned.weights["neck.0.bias"], graph.weights["neck.0.bias"])
