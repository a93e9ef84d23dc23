"""Where errors matter: the estimate against the whole Jacobian, and samples drawn accordingly."""

from __future__ import annotations

import numpy as np
import torch
from test_reconstruct import SHAPE, residual, smooth_inputs
from torch import nn

from models.frontend.trace import trace
from models.graph.layer import Layer
from models.graph.reference import run_layer
from models.prune.reconstruction.importance import importances
from models.prune.reconstruction.problem import problem
from models.prune.reconstruction.streams import torch_weights, with_last_reads


def outputs_with(graph, x, layer, error):
    """The output where `error` is added to a layer before its epilogue."""
    weights, held = torch_weights(graph), {graph.input: x}
    for each in graph.layers:
        made = run_layer(each, [held[name] for name in each.inputs], weights)
        if each.name == layer:
            plain = Layer(**{**vars(each), "epilogue": (), "inputs": each.inputs[:1], "in_shapes": each.in_shapes[:1]})
            made = torch.relu(run_layer(plain, [held[each.inputs[0]]], weights) + error)
        held[each.name] = made
    return held[graph.outputs[0]]


def test_squares_are_those_of_the_jacobian():
    graph = trace(residual(), SHAPE, "residual")
    name, x = "separable.pointwise", smooth_inputs(1)
    shape = (1, *graph.layer(name).out_shape)
    assert [step.kind for step in graph.layer(name).epilogue] == ["relu"]
    jacobian = torch.autograd.functional.jacobian(
        lambda error: outputs_with(graph, torch.from_numpy(x), name, error).flatten(),
        torch.zeros(shape),
        vectorize=True,
    )
    squares = jacobian.square().sum(dim=0)[0]  # (filters, height, width)
    draws = [importances(graph, [name], x, seed=seed)[name] for seed in range(60)]
    positions = torch.stack([each.positions[0] for each in draws]).mean(dim=0)
    filters = torch.stack([each.filters for each in draws]).mean(dim=0)
    for mine, wanted in ((positions, squares.mean(dim=0)), (filters, squares.mean(dim=(1, 2)))):
        wanted = wanted / wanted.mean()
        assert np.corrcoef(mine.flatten(), wanted.flatten())[0, 1] > 0.95
        assert torch.allclose(mine.mean(), torch.tensor(1.0), atol=1e-3)


def test_what_reaches_no_output_does_not_matter():
    graph = trace(residual(), SHAPE, "residual")
    known = importances(graph, ["one", "out"], smooth_inputs(3), batch=2)
    assert known["one"].positions.shape == (3, *graph.layer("one").out_shape[1:])
    assert known["one"].filters.shape == (19,)
    assert torch.allclose(known["out"].positions, known["out"].positions.mean(dim=(1, 2), keepdim=True), rtol=0.2)


def test_positions_are_drawn_by_their_chances():
    shape = (2, 4, 5)
    layer = Layer("l", "conv", ("x",), (shape,), (3, 4, 5))
    x = torch.arange(2 * 2 * 4 * 5).reshape(2, *shape).float()  # every value says where it is
    chances = torch.zeros(2, 4, 5)
    chances[0, 1, 2], chances[1, 3, 4] = 3.0, 1.0
    weights = {"l.weight": torch.randn(3, 2, 1, 1)}
    drawn = problem(layer, [x], [x], weights, 4000, torch.Generator().manual_seed(0), chances)
    seen, counts = drawn.inputs[0, :, 0].unique(return_counts=True)
    assert seen.tolist() == [x[0, 0, 1, 2].item(), x[1, 0, 3, 4].item()]
    assert abs(counts[0] / 4000 - 0.75) < 0.03


def test_tensors_are_dropped_after_their_last_reader():
    graph = trace(residual(), SHAPE, "residual")
    alive, made = {graph.input}, {graph.input}
    for layer, finished in with_last_reads(graph):
        assert set(layer.inputs) <= alive
        alive |= {layer.name}
        made |= {layer.name}
        alive -= set(finished)
    assert alive == set(), "outputs are read by nothing"
    assert made == {graph.input, *(layer.name for layer in graph.layers)}


def test_importances_pass_through_attention():
    """What a product of two tensors is made of has a gradient as anything else has."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.qkv, self.out = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 24), nn.Conv2d(8, 2, 1)

        def forward(self, x):
            y = self.stem(x)
            q, k, v = self.qkv(y.flatten(2).transpose(1, 2)).chunk(3, -1)
            z = torch.softmax(q @ k.transpose(1, 2) / 8**0.5, -1) @ v
            return self.out(z.transpose(1, 2).reshape(y.shape))

    torch.manual_seed(0)
    graph = trace(Attention().eval(), (3, 16, 12))
    found = importances(graph, ["stem", "qkv"], np.random.default_rng(0).random((3, 3, 16, 12), np.float32))
    assert all(torch.isfinite(each.filters).all() and (each.filters > 0).all() for each in found.values())
    assert all(each.positions.std() > 0 for each in found.values())
