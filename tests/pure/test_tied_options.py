"""Layers that share a weight are decided by what they take together, and all get the same."""

from dataclasses import replace

import pytest

from latency.cost_model.predictor import Prediction
from latency.network_model.forecast import PredictedStep
from latency.planning.assignment import LayerOptions
from latency.planning.choosing import ANY_GAIN, Goal, choose_options
from latency.planning.explain_plan import make_plan
from latency.planning.gains import KernelOption
from latency.planning.losses import Losses
from latency.planning.options import NetworkOptions
from latency.planning.reasons import DenseKind, Reason, read_kind
from latency.planning.tied_options import join_tied, spread_choices
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import Sparsity

HALF, MOST = Sparsity.parse("columns:0.5:4x1"), Sparsity.parse("columns:0.75:4x1")
TIED = {"a": ("a", "b")}


def option(ms: float, sparsity: Sparsity | None = None, loss: float = 0.0) -> KernelOption:
    return KernelOption(ms, ms / 1.01, ms * 1.01, sparsity, 1.0, loss)


def conv(name: str, source: str, parameter: str) -> Layer:
    shape = (8, 16, 16)
    return Layer(name, "conv", (source,), (shape,), shape, (3, 3), padding=(1, 1), parameter=parameter)


def options(name: str, dense: float, half: float, most: float) -> LayerOptions:
    return LayerOptions(name, option(dense), (option(half, HALF, 1.0), option(most, MOST, 3.0)))


def network(layers: list[LayerOptions]) -> NetworkOptions:
    graph_layers = (conv("a", "x", "w"), conv("b", "a", "w"), conv("c", "b", "v"))
    graph = Graph("net", "x", (8, 16, 16), ("c",), graph_layers, {})
    steps = [
        PredictedStep(
            each.layer, "conv", "k", None, Prediction(each.dense.ms, each.dense.low, each.dense.high), 1, 0, n
        )
        for n, each in enumerate(layers)
    ]
    return NetworkOptions(graph, tuple(steps), tuple(layers), {})


def test_options_of_tied_layers_add_up():
    (joined,) = join_tied([options("a", 4, 3, 2), options("b", 2, 1.8, 1.9)], TIED)
    assert (joined.layer, joined.uses, joined.dense.ms) == ("a", 2, 6)
    assert [(each.sparsity, each.ms, each.loss) for each in joined.variants] == [(HALF, 4.8, 2), (MOST, 3.9, 6)]


def test_an_option_of_one_use_alone_is_none():
    lacking = replace(options("b", 2, 1.8, 1.9), variants=(option(1.8, HALF),))
    (joined,) = join_tied([options("a", 4, 3, 2), lacking], TIED)
    assert [each.sparsity for each in joined.variants] == [HALF]
    fixed = replace(lacking, fixed=Reason(DenseKind.HEAD, "maps"))
    assert join_tied([options("a", 4, 3, 2), fixed], TIED)[0].fixed is fixed.fixed


def test_choices_are_spread_as_each_layers_own():
    layers = [options("a", 4, 3, 2), options("b", 2, 1.8, 1.9)]
    joined = join_tied(layers, TIED)
    assert spread_choices(layers, joined, [joined[0].variants[1]], TIED) == [
        layers[0].variants[1],
        layers[1].variants[1],
    ]


@pytest.mark.parametrize("goal", [ANY_GAIN, Goal(speedup=1.6), Goal(max_loss=100.0)])
def test_a_gain_is_that_of_all_uses(goal):
    """Alone the second use would stay dense, since zeros make it slower; the first gains more than that."""
    start = network([options("a", 4, 2.5, 2), options("b", 1, 1.1, 1.2), options("c", 4, 3, 2)])
    plan = make_plan(start, choose_options(start, goal), goal)
    assert plan["a"].sparsity == plan["b"].sparsity is not None
    assert "in all 2 uses of its weight" in plan["a"].reason
    assert plan["a"].reason == plan["b"].reason
    plan.check(start.graph.layers)
    slower = network([options("a", 4, 3.5, 3.4), options("b", 1, 2, 2.1), options("c", 4, 3, 2)])
    plan = make_plan(slower, choose_options(slower, ANY_GAIN), ANY_GAIN)
    assert plan["a"].sparsity is plan["b"].sparsity is None
    assert read_kind(plan["b"].reason) is DenseKind.SLOWER


def test_measured_losses_of_tied_layers_count_once():
    layers = [conv("a", "x", "w"), conv("b", "a", "w"), conv("c", "b", "v")]
    measured = Losses(layers, (), curves={"a": ((0.0, 0.0), (0.5, 0.1))}, source="s.json")
    assert measured.of(layers[0], HALF) == pytest.approx(0.1)
    assert measured.of(layers[1], HALF) == 0.0
    assert Losses(layers, ()).of(layers[1], HALF) > 0
