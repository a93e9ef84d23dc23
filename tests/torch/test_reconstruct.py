"""Layer-wise reconstruction: its problems are the layers', its zeros the plan's, its errors below plain masking's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from random_weights import shake_batch_norms
from torch import nn

from codegen.kernels.pack import departure
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.layer import Layer, Step
from models.graph.reference import run_layer
from models.networks.units import ConvUnit, SeparableUnit, initialise
from models.plans.eligible import prunable
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.masks.binding import adopt, homes
from models.prune.oneshot import prune_graph
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.reconstruction.problem import problem
from models.prune.reconstruction.reconstruct import reconstruct
from tests import sweep

TEXTS = [
    "columns:0.5:4x1",
    "columns:0.5:4x1:free",
    "block_punched:0.5:8x4",
    "connectivity:0.4:4x2",
    "pattern:0.7",
]
SHAPE = (3, 24, 32)


class Residual(nn.Module):
    """Batch norms, a sum before and one after the activation, channels that blocks do not divide, a depthwise layer."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.stem = ConvUnit(3, 19, stride=2, norm=norm)
        self.one = ConvUnit(19, 19, norm=norm, activation=None)
        self.separable = SeparableUnit(19, 22, norm=norm)
        self.two = ConvUnit(22, 22, 3, dilation=2, norm=norm)
        self.out = ConvUnit(22, 7, 1, activation=None)

    def forward(self, x):
        x = self.stem(x)
        x = self.separable(torch.relu(self.one(x) + x))
        return self.out(self.two(x) + x)


def residual(norm: bool = True) -> nn.Module:
    network = Residual(norm).eval()
    initialise(network, 1)
    return shake_batch_norms(network)


def smooth_inputs(count: int, seed: int = 0) -> np.ndarray:
    """(count, *SHAPE) float32, neighbouring pixels alike, as in photographs."""
    small = torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 3, 6, 8)).astype(np.float32))
    return nn.functional.interpolate(small, size=SHAPE[1:], mode="bicubic").numpy()


def output(graph, x: np.ndarray) -> np.ndarray:
    held = {graph.input: torch.from_numpy(x)}
    weights = {name: torch.from_numpy(value) for name, value in graph.weights.items()}
    for layer in graph.layers:
        held[layer.name] = run_layer(layer, [held[name] for name in layer.inputs], weights)
    return held[graph.outputs[0]].numpy()


def plan_for(graph, text: str) -> Plan:
    sparsity = Sparsity.parse(text)
    names = [each.name for each in graph.layers if each.name in ("one", "two", "separable.pointwise")]
    fitting = [name for name in names if sparsity.applies_to(graph.layer(name)) is None]
    return Plan.of("residual", graph.layers, dict.fromkeys(fitting, sparsity))


@sweep.part(4)
@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("norm", [True, False])
def test_errors_on_other_inputs_are_smaller_than_plain_maskings(text, norm):
    graph = trace(residual(norm), SHAPE, "residual")
    plan = plan_for(graph, text)
    found = reconstruct(graph, plan.sparsities, smooth_inputs(24), ReconstructionSettings(samples=3000))
    x = smooth_inputs(8, seed=99)
    wanted = output(graph, x)
    mine, plain = (np.square(output(g, x) - wanted).mean() for g in (found, prune_graph(graph, plan)))
    assert mine < 0.5 * plain


@sweep.part(3)
@pytest.mark.parametrize("text", TEXTS)
def test_zeros_are_those_that_packing_expects(text):
    graph = trace(residual(), SHAPE, "residual")
    plan = plan_for(graph, text)
    found = reconstruct(graph, plan.sparsities, smooth_inputs(6), ReconstructionSettings(samples=500))
    assert plan.sparsities
    for name, sparsity in plan.sparsities.items():
        weight = found.weights[f"{name}.weight"]
        assert departure(weight, sparsity) is None
        assert (weight != 0).mean() == pytest.approx(sparsity.kept_fraction(weight.shape), abs=0.05)


def test_nothing_to_prune_changes_nothing():
    graph = trace(residual(), SHAPE, "residual")
    found = reconstruct(graph, {}, smooth_inputs(2), ReconstructionSettings(samples=100))
    assert all(np.array_equal(found.weights[name], graph.weights[name]) for name in graph.weights)


def test_dense_layers_make_up_for_pruned_ones():
    graph = trace(residual(), SHAPE, "residual")
    sparsities, x = plan_for(graph, "columns:0.6:4x1").sparsities, smooth_inputs(24)
    alone, helped = (
        reconstruct(graph, sparsities, x, ReconstructionSettings(3000, compensate=each)) for each in (False, True)
    )
    assert np.array_equal(alone.weights["out.weight"], graph.weights["out.weight"])
    test = smooth_inputs(8, seed=99)
    errors = [np.square(output(g, test) - output(graph, test)).mean() for g in (alone, helped)]
    assert errors[1] < errors[0]


def test_a_relu_leaves_room_for_what_is_negative():
    graph = trace(residual(), SHAPE, "residual")
    sparsities = {"separable.pointwise": Sparsity.parse("columns:0.6:4x1")}
    x, errors = smooth_inputs(24), {}
    for rectify in (0, 10):
        found = reconstruct(graph, sparsities, x, ReconstructionSettings(4000, rectify=rectify, compensate=False))
        cut = replace(found, outputs=("separable.pointwise",))
        errors[rectify] = np.square(output(cut, x) - output(replace(graph, outputs=cut.outputs), x)).mean()
    assert errors[10] < errors[0]


def _farthest(rows: torch.Tensor, others: torch.Tensor) -> float:
    """Of each row's distance from the nearest of `others`, the largest; float64, without cdist's cancellation."""
    return float((rows.double()[:, None] - others.double()[None]).norm(dim=2).min(dim=1).values.max())


LAYERS = [
    ((6, 9, 11), (4, 6, 3, 3), 1, {"padding": (1, 1)}),
    ((6, 9, 11), (4, 6, 3, 3), 1, {"padding": (2, 2), "dilation": (2, 2)}),
    ((6, 9, 11), (5, 6, 3, 1), 1, {"padding": (1, 0), "stride": (2, 1)}),
    ((6, 9, 11), (6, 1, 3, 3), 6, {"padding": (1, 1)}),
    ((6, 9, 11), (4, 3, 1, 1), 2, {"stride": (2, 2)}),
]


@pytest.mark.parametrize(("in_shape", "shape", "groups", "how"), LAYERS)
def test_problems_are_the_layers_own(in_shape, shape, groups, how):
    """Inputs times the old weights are outputs of the layer, and so are the targets."""
    x = torch.randn(3, *in_shape, generator=torch.Generator().manual_seed(0))
    weights = {"l.weight": torch.randn(shape), "l.bias": torch.randn(shape[0])}
    layer = Layer("l", "conv", ("x",), (in_shape,), (1, 1, 1), kernel=shape[2:], groups=groups, bias=True, **how)
    made = run_layer(layer, [x], weights)
    drawn = problem(layer, [x], [x], weights, 50, torch.Generator().manual_seed(1))
    again = drawn.inputs.double() @ drawn.old.transpose(1, 2)
    assert torch.allclose(again.float(), drawn.targets, atol=1e-4)
    columns = drawn.targets.transpose(0, 1).flatten(1)  # (samples, filters)
    outputs = made.permute(0, 2, 3, 1).reshape(-1, shape[0])
    assert _farthest(columns, outputs) < 1e-4


def test_where_there_are_fewer_positions_than_samples_each_is_drawn_once():
    x = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    weights = {"l.weight": torch.randn(3, 4, 3, 3)}
    layer = Layer("l", "conv", ("x",), ((4, 5, 6),), (3, 5, 6), kernel=(3, 3), padding=(1, 1))
    drawn = problem(layer, [x], [x], weights, 60, torch.Generator().manual_seed(1))
    outputs = run_layer(layer, [x], weights).permute(0, 2, 3, 1).reshape(60, 3)
    assert drawn.samples == 60
    assert torch.allclose(drawn.targets[0], outputs, atol=1e-5)


def test_targets_make_up_for_an_addend_that_changed():
    shape = (5, 4, 6)
    x, dense, pruned = (torch.randn(2, *shape) for _ in range(3))
    layer = Layer("l", "conv", ("x", "a"), (shape, shape), shape, epilogue=(Step("add"), Step("relu")))
    weights = {"l.weight": torch.randn(5, 5, 1, 1)}
    drawn = problem(layer, [x, dense], [x, pruned], weights, 40, torch.Generator().manual_seed(1))
    wanted = run_layer(layer, [x, dense], weights) - pruned
    outputs = (run_layer(replace(layer, epilogue=(Step("add"),)), [x, dense], weights) - pruned).permute(0, 2, 3, 1)
    assert wanted.shape == (2, *shape)
    assert _farthest(drawn.targets[0], outputs.reshape(-1, 5)) < 1e-4
    assert drawn.rectified


@pytest.mark.parametrize("norm", [True, False])
def test_a_network_takes_a_changed_graph(norm):
    network = residual(norm)
    graph = trace(network, SHAPE, "residual")
    found = reconstruct(
        graph, plan_for(graph, "columns:0.5:4x1").sparsities, smooth_inputs(6), ReconstructionSettings(samples=800)
    )
    adopt(network, graph, found)
    again = trace(network, SHAPE, "residual")
    for name, value in found.weights.items():
        np.testing.assert_allclose(again.weights[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        assert ((again.weights[name] == 0) == (value == 0)).all(), name


def test_layers_whose_weight_is_computed_are_refused():
    torch.manual_seed(0)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1))
    network = nn.Sequential(nn.Conv2d(4, 4, 1), normed, nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    graph = trace(network, (4, 8, 8), "normed")
    assert set(homes(network, graph)) == {"0", "3"}
    assert [layer.name for layer in prunable(graph)] == []
    plan = Plan.of("normed", graph.layers, {"1": Sparsity.parse("columns:0.5:4x1")})
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(UsageError, match="the weight of layer '1' is no parameter"):
        adopt(network, graph, prune_graph(graph, plan))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
