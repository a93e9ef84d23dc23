"""Operators that fall back to TVM's kernels, on this machine's OpenCL against float64, between borders of planes."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.graph.foreign.call import ForeignCall, ForeignTensor, plane_shape
from models.graph.layer import Layer
from tests.host.network_check import check_network
from tests.host.test_kernels import check
from tests.patterns.fallbacks import FALLBACKS
from tests.small_network import Fn

X, Y = {"operand": 0}, {"operand": 1}


def layer(operator: str, arguments: list, *operands: tuple[int, ...]) -> Layer:
    """A "fallback" on operands of these sizes; a size list that ends in a text has that type."""
    tensors = tuple(
        ForeignTensor(sizes[:-1], sizes[-1]) if isinstance(sizes[-1], str) else ForeignTensor(sizes)
        for sizes in operands
    )
    name, _, overload = operator.partition(".")
    examples = [torch.zeros(tensor.sizes, dtype=getattr(torch, tensor.dtype)) for tensor in tensors]
    values = [examples[value["operand"]] if isinstance(value, dict) else value for value in arguments]
    sizes = tuple(getattr(getattr(torch.ops.aten, name), overload)(*values).shape)
    call = ForeignCall(operator, json.dumps(arguments), tensors, sizes)
    shapes = tuple(plane_shape(tensor.sizes) for tensor in tensors)
    inputs = tuple(f"in{number}" for number in range(len(tensors)))
    return Layer("layer", "fallback", inputs, shapes, plane_shape(sizes), foreign=call)


CALLS = {
    "conv3d": layer(
        "conv3d.default",
        [X, Y, None, [1, 2, 1], [1, 0, 1], [1, 1, 1], 1],
        (1, 2, 5, 7, 9),
        (3, 2, 3, 3, 3),
    ),
    "gather": layer("gather.default", [X, 1, Y], (1, 5, 7, 9), (1, 2, 7, 9, "int64")),
    "grid_sampler": layer("grid_sampler.default", [X, Y, 0, 0, False], (1, 5, 7, 9), (1, 4, 21, 2)),
}


@pytest.mark.parametrize("border", [(0, 0), (2, 1)])
@pytest.mark.parametrize("name", CALLS)
def test_fallback_matches_float64(host, name, border):
    check(host, CALLS[name], border)


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


@pytest.mark.parametrize("name", FALLBACKS)
def test_pattern_that_falls_back_matches_float64(host, name, tmp_path):
    pattern = FALLBACKS[name]
    graph = check_network(host, pattern.make(), pattern.shape, tmp_path)
    assert any(layer.op == "fallback" for layer in graph.layers)
