"""Plans: lookups, files, what is refused, what people read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fleetpose.errors import UsageError
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.cost import Cost, Outlook, percent
from models.plans.explain import explain
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph

SHAPE = (16, 10, 12)
LAYER_A = '{"format": "fleetpose.plan/1", "model": "net", "layers": {"a": %s}}'
HALF = Sparsity.parse("columns:0.5:8x1")


def conv(name, source, kernel=3, groups=1, bias=False):
    pad = (kernel // 2, kernel // 2)
    return Layer(
        name, "conv", (source,), (SHAPE,), SHAPE, (kernel, kernel), padding=pad, groups=groups, bias=bias, module=name
    )


LAYERS = (
    conv("first", "x"),
    Layer("pool", "max_pool", ("first",), (SHAPE,), SHAPE, (3, 3), padding=(1, 1)),
    conv("middle", "pool", kernel=1, bias=True),
    conv("wise", "middle", groups=16),
)


def test_plan_of_names_every_convolution():
    plan = Plan.of("net", LAYERS, {"middle": HALF}, {"middle": "pays", "first": "the first"})
    assert plan.choices == (
        LayerChoice("first", None, "the first"),
        LayerChoice("middle", HALF, "pays"),
        LayerChoice("wise"),
    )
    assert plan["middle"].sparsity == HALF
    assert plan["wise"].sparsity is None
    assert plan.sparsities == {"middle": HALF}
    assert hash(plan) == hash(Plan("net", plan.choices))


def test_plan_takes_layers_from_an_iterator():
    assert Plan.of("net", iter(LAYERS), {"middle": HALF}).sparsities == {"middle": HALF}


def test_plan_suggests_a_layer_for_an_unknown_name():
    plan = Plan.of("net", LAYERS, {})
    with pytest.raises(UsageError, match="unknown layer in the plan of net 'midle'; did you mean 'middle'"):
        plan["midle"]
    with pytest.raises(UsageError, match="unknown convolution of net 'frist'; did you mean 'first'"):
        Plan.of("net", LAYERS, {"frist": HALF})
    with pytest.raises(UsageError, match="unknown convolution of net 'pool'"):
        Plan.of("net", LAYERS, {}, {"pool": "no convolution"})


def test_plan_check_tells_what_does_not_fit():
    with pytest.raises(UsageError, match=r"layer 'wise' cannot be columns:0.5:8x1: a depthwise convolution"):
        Plan.of("net", LAYERS, {"wise": HALF})
    with pytest.raises(UsageError, match="lacks layer 'middle' and 1 more"):
        Plan("net", (LayerChoice("first"),)).check(LAYERS)
    with pytest.raises(UsageError, match="did you mean 'first'"):
        Plan("net", (LayerChoice("firts"), LayerChoice("middle"), LayerChoice("wise"))).check(LAYERS)
    with pytest.raises(UsageError, match="two choices for layer 'first'"):
        Plan("net", (LayerChoice("first"), LayerChoice("first", HALF)))


def test_plan_counts_removed_weights_and_macs():
    plan = Plan.of("net", LAYERS, {"middle": HALF, "first": HALF})
    assert plan.removed_weights(LAYERS) == 16 * 16 * 9 // 2 + 16 * 16 // 2
    assert plan.removed_macs(LAYERS) == plan.removed_weights(LAYERS) * 120


def test_plan_file_is_read_back(tmp_path):
    plan = Plan.of("net", LAYERS, {"middle": HALF}, {"middle": "0.4 ms, dense 0.7 ms"})
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_text())["layers"]["first"] == {"variant": "dense", "reason": ""}
    with pytest.raises(UsageError, match="--force"):
        plan.save(tmp_path / "plan.json")
    plan.save(tmp_path / "plan.json", force=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "format is 'list'"),
        ('{"format": "fleetpose.plan/9"}', "format is 'fleetpose.plan/9', not 'fleetpose.plan/1'"),
        ('{"format": "fleetpose.plan/1", "model": "net"}', "has no 'layers'"),
        (LAYER_A % '{"reason": "none"}', "layers: a has no 'variant'"),
        (LAYER_A % '{"variant": "dens"}', "layers: a.variant: unknown variant 'dens'; did you mean 'dense'"),
        (
            LAYER_A % '{"variant": "columns:2:8x1"}',
            "layers: a.variant: columns:2.0:8x1: the fraction of zeros is 2.0",
        ),
        (LAYER_A % '{"variant": "dense", "raeson": ""}', "did you mean 'reason'"),
        (LAYER_A % '{"variant": "dense", "reason": 3}', "layers: a.reason is 3, not a string"),
        (LAYER_A % '{"variant": "dense", "break_even": -1}', "break_even is -1, not a number of at least 0"),
        (LAYER_A % '{"variant": "dense", "dense_ms": 3}', "layers: a.dense_ms is 3, not an object"),
        (LAYER_A % '{"variant": "dense", "dense_ms": {"ms": 0}}', "layers: a.dense_ms.ms is 0, not a number above 0"),
        (LAYER_A % '{"variant": "dense", "sparse_ms": {"ms": 1, "lwo": 1}}', "did you mean 'low'"),
        (
            LAYER_A.replace('"layers"', '"network": {"rule": 1}, "layers"') % '{"variant": "dense"}',
            "network.rule is 1, not a string",
        ),
    ],
)
def test_plan_load_refuses_other_files(tmp_path, text, message):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        Plan.load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_plan_load_names_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read the plan"):
        Plan.load(tmp_path / "plan.json")


def test_explain_lists_what_each_layer_saves():
    plan = Plan.of("net", LAYERS, {"middle": HALF}, {"middle": "pays", "first": "the first: it sees all"})
    lines = explain(plan).splitlines()
    assert lines[0] == "net: 1 of 3 convolutions sparse"
    assert [line.split() for line in lines[2:6]] == [
        ["layer", "variant", "reason"],
        ["first", "dense", "the", "first:", "it", "sees", "all"],
        ["middle", "columns:0.5:8x1", "pays"],
        ["wise", "dense"],
    ]
    assert lines[-2:] == ["dense, because", "  the first (1): first"]
    sized = explain(plan, LAYERS).splitlines()
    assert sized[4].split() == ["middle", "16x16x1x1", "0.0", "0.0", "columns:0.5:8x1", "pays"]
    assert "parameters 0.003 M, 0.003 kept (1.05x)" in sized[0]


TIMED = Plan(
    "net",
    (
        LayerChoice("first", None, "an output: its maps", None, Cost(1.5, 1.4, 1.6, "direct F8")),
        LayerChoice(
            "middle", HALF, "0.57 of it", 0.25, Cost(0.7, 0.6, 0.8), Cost(0.4, 0.39, 0.41, "columns", True), 0.998
        ),
        LayerChoice("wise", None, "no gain survives: columns", 0.0, Cost(2.0), Cost(1.9, 1.0, 3.0)),
    ),
    Outlook(Cost(5.0, 4.0, 6.0), Cost(4.5, 3.6, 5.4), 0.8, "least loss within 4.6 ms", ("a note",)),
)


def test_plan_keeps_and_shows_times(tmp_path):
    TIMED.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == TIMED
    values = json.loads((tmp_path / "plan.json").read_text())
    assert values["layers"]["middle"]["break_even"] == 0.25
    assert values["layers"]["middle"]["probability_faster"] == 0.998
    assert not {"break_even", "probability_faster"} & set(values["layers"]["first"])
    assert values["network"]["planned_ms"]["ms"] == 4.5
    lines = explain(TIMED).splitlines()
    assert lines[1] == ("4.5 ms predicted (3.6 to 5.4), dense 5 ms predicted (4 to 6): 1.11 times as fast")
    assert lines[2:4] == ["rule: least loss within 4.6 ms", "a note"]
    assert lines[7].split() == [
        "middle",
        "columns:0.5:8x1",
        "0.7",
        "0.4m",
        "over",
        "99",
        "%",
        "0.25",
        "0.57",
        "of",
        "it",
    ]
    assert lines[8].split() == ["wise", "dense", "2", "1.9", "-", "0.00", "no", "gain", "survives"]
    assert lines[-1] == "  no gain survives (1): wise"


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.5, "50 %"),
        (0.974, "97 %"),
        (0.994, "99 %"),
        (0.9951, "over 99 %"),
        (1.0, "100 %"),
        (0.0001, "under 1 %"),
        (0.0, "0 %"),
    ],
)
def test_percent_calls_nothing_certain_that_is_not(probability, text):
    assert percent(probability) == text


def test_prune_graph_zeroes_what_the_plan_says():
    generator = np.random.default_rng(0)
    weights = {
        f"{layer.name}.weight": generator.standard_normal(layer.weight_shape).astype(np.float32)
        for layer in LAYERS
        if layer.op == "conv"
    }
    graph = Graph("net", "x", SHAPE, ("wise",), LAYERS, {**weights, "middle.bias": np.ones(16, np.float32)})
    pruned = prune_graph(graph, Plan.of("net", LAYERS, {"middle": HALF}))
    assert np.count_nonzero(pruned.weights["middle.weight"]) == 128
    assert pruned.weights["middle.weight"].dtype == np.float32
    assert np.count_nonzero(graph.weights["middle.weight"]) == 256
    assert pruned.weights["first.weight"] is graph.weights["first.weight"]
