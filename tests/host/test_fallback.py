"""Operators that fall back to TVM's kernels, on this machine's OpenCL against float64, between borders of planes."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.graph.foreign.call import ForeignCall, ForeignTensor, plane_shape
from models.graph.foreign.operators import OPERATORS
from models.graph.foreign.reference import call_operator
from models.graph.layer import Layer
from tests import sweep
from tests.host.network_check import check_network
from tests.host.test_kernels import check
from tests.patterns.fallbacks import FALLBACKS
from tests.small_network import Fn

X, Y, Z = {"operand": 0}, {"operand": 1}, {"operand": 2}


def layer(operator: str, arguments: list, *operands: tuple[int, ...]) -> Layer:
    """A "fallback" on operands of these sizes; a size list that ends in a text has that type."""
    tensors = tuple(
        ForeignTensor(sizes[:-1], sizes[-1]) if isinstance(sizes[-1], str) else ForeignTensor(sizes)
        for sizes in operands
    )
    examples = [torch.zeros(tensor.sizes) for tensor in tensors]
    sizes = tuple(call_operator(ForeignCall(operator, json.dumps(arguments), tensors, ()), examples).shape)
    call = ForeignCall(operator, json.dumps(arguments), tensors, sizes)
    shapes = tuple(plane_shape(tensor.sizes) for tensor in tensors)
    inputs = tuple(f"in{number}" for number in range(len(tensors)))
    return Layer("layer", "fallback", inputs, shapes, plane_shape(sizes), foreign=call)


MAP, WHOLE = (1, 5, 7, 19), (1, 2, 7, 19, "int64")
CALLS = {
    "conv3d": layer(
        "conv3d.default", [X, Y, None, [1, 2, 1], [1, 0, 1], [1, 1, 2], 1], (1, 2, 5, 7, 9), (3, 2, 3, 3, 3)
    ),
    "gather": layer("gather.default", [X, 1, Y], MAP, WHOLE),
    "grid of an affine map": layer("affine_grid_generator.default", [X, [1, 3, 7, 19], True], (1, 2, 3)),
    "grid_sampler": layer("grid_sampler.default", [X, Y, 0, 0, False], MAP, (1, 4, 21, 2)),
}
MORE = {
    "conv3d in groups": layer(
        "conv3d.default", [X, Y, Z, [1, 1, 1], [0, 0, 0], [1, 1, 1], 2], (1, 4, 5, 7, 9), (6, 2, 2, 3, 3), (6,)
    ),
    "conv2d": layer("conv2d.default", [X, Y, None, [2, 1], [1, 1], [1, 1], 1], (1, 4, 7, 9), (3, 4, 3, 3)),
    "conv2d by channel": layer("conv2d.default", [X, Y, None, [1, 1], [1, 1], [1, 1], 4], (1, 4, 7, 9), (4, 1, 3, 3)),
    "conv2d padded": layer("conv2d.padding", [X, Y, None, [1, 1], "same", [1, 1], 1], (1, 4, 7, 9), (3, 4, 3, 3)),
    "conv_transpose2d": layer(
        "conv_transpose2d.input", [X, Y, None, [2, 2], [1, 1], [1, 1], 1, [1, 1]], (1, 4, 7, 9), (4, 3, 3, 3)
    ),
    "max_pool3d": layer("max_pool3d.default", [X, [2, 2, 2], [1, 2, 2], [1, 0, 1]], (1, 3, 5, 7, 9)),
    "avg_pool3d without padding": layer(
        "avg_pool3d.default", [X, [2, 3, 2], [1, 2, 2], [1, 0, 1], False, False], (1, 3, 5, 7, 9)
    ),
    "avg_pool3d of parts": layer("avg_pool3d.default", [X, [2, 3, 2], [2, 2, 2], [0, 0, 0], True], (1, 3, 5, 8, 9)),
    "nearest": layer("grid_sampler.default", [X, Y, 1, 0, False], MAP, (1, 4, 6, 2)),
    "reflected": layer("grid_sampler.default", [X, Y, 0, 2, False], MAP, (1, 4, 6, 2)),
    "bicubic": layer("grid_sampler.default", [X, Y, 2, 1, True], MAP, (1, 4, 6, 2)),
    "take": layer("take.default", [X, Y], MAP, (3, 4, "int64")),
    "einsum": layer("einsum.default", ["bchw,bdhw->bcd", [X, Y]], MAP, (1, 4, 7, 19)),
    "logaddexp": layer("logaddexp.default", [X, Y], MAP, MAP),
    "cosh": layer("cosh.default", [X], MAP),
    "sinh": layer("sinh.default", [X], MAP),
    "fmod": layer("fmod.Tensor", [X, Y], MAP, MAP),
    "fmod of a number": layer("fmod.Scalar", [X, 0.7], MAP),
    "remainder": layer("remainder.Tensor", [X, Y], MAP, MAP),
    "remainder of a number": layer("remainder.Scalar", [X, 0.7], MAP),
    "power of a number": layer("pow.Scalar", [2.0, X], MAP),
    "celu": layer("celu.default", [X, 1.5], MAP),
    "softshrink": layer("softshrink.default", [X, 0.3], MAP),
    "norm": layer("linalg_vector_norm.default", [X, 3, [1], True], MAP),
}


@sweep.part(4)
@pytest.mark.parametrize("border", [(0, 0), (2, 1)])
@pytest.mark.parametrize("name", CALLS)
def test_fallback_matches_float64(host, name, border):
    check(host, CALLS[name], border)


@pytest.mark.parametrize("name", sweep.sample(MORE, 4))
def test_operator_falls_back_right(host, name):
    check(host, MORE[name], (1, 1))


def test_every_operator_that_may_fall_back_has_a_case():
    assert {case.foreign.operator for case in (*CALLS.values(), *MORE.values())} == OPERATORS


def forward(s, x):
    """Sampling where the network says, joined with what it samples; then a convolution of three axes."""
    y = s.stem(x)
    z = F.grid_sample(y, torch.tanh(s.places(y)).permute(0, 2, 3, 1), align_corners=False)
    joined = torch.cat([y, z, torch.relu(y)], 1)
    return F.conv3d(joined.unflatten(1, (5, 3)), s.weight, padding=(0, 1, 1))[:, :, 0] + s.skip(joined)


def test_network_with_fallbacks_matches_float64(host, tmp_path):
    module = Fn(forward, stem=nn.Conv2d(3, 5, 3), places=nn.Conv2d(5, 2, 3, padding=1), skip=nn.Conv2d(15, 4, 1))
    module.weight = nn.Parameter(torch.randn(4, 5, 3, 3, 3))
    graph = check_network(host, module, (3, 13, 17), tmp_path)
    assert [layer.foreign.name for layer in graph.layers if layer.foreign] == ["grid_sampler", "conv3d"]


@pytest.mark.parametrize("name", sweep.sample(FALLBACKS, 2))
def test_pattern_that_falls_back_matches_float64(host, name, tmp_path):
    pattern = FALLBACKS[name]
    graph = check_network(host, pattern.make(), pattern.shape, tmp_path)
    assert any(layer.op == "fallback" for layer in graph.layers)
