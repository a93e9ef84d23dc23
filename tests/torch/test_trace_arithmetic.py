"""Arithmetic in a module's forward -> Graph: each spelling, checked in float64 against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_weights import check_traced, shake_batch_norms
from torch import nn
from torch.nn.utils import parametrizations

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.reference import run_graph
from tests import sweep
from tests.small_network import Fn


def conv(inputs=4, outputs=4, kernel=3, **settings):
    torch.manual_seed(inputs + 10 * outputs)
    return nn.Conv2d(inputs, outputs, kernel, **{"padding": "same", **settings})


def steps_of(graph, name):
    return [step.kind for step in graph.layer(name).epilogue]


def gate(x):
    return torch.sigmoid(x.mean((2, 3), keepdim=True))


SPELLINGS = {
    "product of maps": lambda s, x: s.c(x) * s.d(x),
    "difference": lambda s, x: s.c(x) - s.d(x),
    "difference of an input": lambda s, x: x - F.relu(s.d(x)),
    "quotient": lambda s, x: s.c(x) / (s.d(x).abs() + 1),
    "maximum": lambda s, x: torch.maximum(s.c(x), x),
    "minimum": lambda s, x: torch.min(s.c(x), s.d(x)),
    "gate by channel": lambda s, x: (y := s.c(x)) * gate(y),
    "gate by place": lambda s, x: s.d(x) * torch.sigmoid(s.one(x)),
    "gate on the left": lambda s, x: gate(x) * s.c(x),
    "channels times places": lambda s, x: gate(x) * torch.sigmoid(s.one(x)),
    "sum with a mean": lambda s, x: x + x.mean((2, 3), keepdim=True),
    "mean minus map": lambda s, x: x.mean((2, 3), keepdim=True) - s.c(x),
    "twice": lambda s, x: s.c(x) * 2,
    "half, reflected": lambda s, x: 1 - s.c(x) / 2,
    "negative": lambda s, x: -F.relu(s.c(x)),
    "a number over a map": lambda s, x: 3 / (1 + s.c(x).abs()),
    "a picture normalised": lambda s, x: s.c((x / 255 - s.vector) / (1 + s.vector**2)),
    "a normalised picture unpadded": lambda s, x: s.v((x / 255 - s.vector) / (1 + s.vector**2)),
    "parameter by channel": lambda s, x: F.relu(s.c(x)) * s.vector,
    "bias by channel": lambda s, x: F.relu(s.c(x)) + s.vector,
    "scale of a sum": lambda s, x: (s.c(x) + x) * s.vector,
    "scale of the input": lambda s, x: F.max_pool2d(x * s.vector, 2),
    "scale before several": lambda s, x: s.c(y := x * s.vector) + s.d(y),
    "scale of an output": lambda s, x: (s.c(y := x * s.vector), y),
    "constant of full shape": lambda s, x: s.c(x) + s.full,
    "product with places": lambda s, x: s.c(x) * s.full[:1],
    "constant on the left": lambda s, x: s.full - s.c(x),
    "alpha": lambda s, x: torch.add(x, s.c(x), alpha=2),
    "alpha of a difference": lambda s, x: torch.sub(s.c(x), F.relu(s.d(x)), alpha=0.5),
    "rsub": lambda s, x: torch.rsub(s.c(x), s.d(x), alpha=3),
    "sum of a list": lambda s, x: sum([s.c(x), s.d(x), x]),
    "nothing added": lambda s, x: s.c(x) + 0,
    "in place": lambda s, x: s.c(x).mul_(2).add_(x).sub_(1).div_(3),
    "square": lambda s, x: s.c(x) ** 2,
    "product with itself": lambda s, x: (y := s.c(x)) * y,
    "cube": lambda s, x: s.c(x).pow(3),
    "root": lambda s, x: (s.c(x).square() + 0.1).sqrt(),
    "inverse root": lambda s, x: torch.rsqrt(s.c(x).abs() + 0.1) + (s.d(x).abs() + 0.5).reciprocal(),
    "fractional power": lambda s, x: (s.c(x).abs() + 0.1) ** 1.7,
    "power of a number": lambda s, x: 1.5 ** s.c(x),
    "fused weights": lambda s, x: (s.c(x) * (w := F.relu(s.weights))[0] + s.d(x) * w[1]) / (w.sum() + 1e-4),
    "residual scaled": lambda s, x: x + s.vector * s.c(x),
    "clamped below by a number": lambda s, x: torch.clamp(s.c(x), min=0.1),
    "maximum with a number": lambda s, x: torch.maximum(s.c(x), torch.tensor(0.1)),
    "maximum with numbers": lambda s, x: torch.maximum(s.c(x), s.vector),
    "coordinates": lambda s, x: s.five(torch.cat([x, torch.linspace(-1, 1, 7).expand(1, 1, 6, 7)], 1)),
    "casts": lambda s, x: s.c(x.to(x.dtype)).to(torch.float64).type_as(x) * 2,
    "a multiple of a product": lambda s, x: torch.addcmul(x, s.c(x), s.d(x), value=0.5),
    "a multiple of a quotient": lambda s, x: torch.addcdiv(x, s.c(x), s.d(x).abs() + 1),
    "scaled input less a map": lambda s, x: 0.3 * x - s.c(x),
    "map less a scaled input": lambda s, x: F.relu(s.c(x) - (2 * x + 1)),
    "between two": lambda s, x: torch.lerp(x, s.c(x), 0.3),
    "filled": lambda s, x: torch.cat([s.c(x) + torch.ones_like(x), x.new_full((1, 1, 6, 7), 0.5)], 1),
    "a small number": lambda s, x: torch.log(torch.sigmoid(s.c(x)) + 1e-6),
    "gate expanded": lambda s, x: s.c(x) * gate(x).expand_as(x),
    "functions": lambda s, x: torch.expm1(s.c(x)) + torch.log1p(x.abs()) * torch.atan(x) - torch.exp2(x),
    "exponential": lambda s, x: torch.exp(s.c(x)) + torch.sin(x) * torch.cos(x),
}


def module_of(function):
    torch.manual_seed(3)
    parts = {"c": conv(), "d": conv(), "one": conv(4, 1), "v": conv(padding=0), "five": conv(5, 4)}
    module = Fn(function, **parts)
    module.vector = nn.Parameter(torch.randn(4, 1, 1))
    module.weights = nn.Parameter(torch.rand(2))
    module.register_buffer("full", torch.randn(4, 6, 7))
    return module


@sweep.part(14)
@pytest.mark.parametrize("name", SPELLINGS)
def test_trace_takes_arithmetic(name):
    check_traced(module_of(SPELLINGS[name]), (4, 6, 7))


NO_PASS = {
    "product of maps": ["c", "d"],
    "gate by channel": ["c", "mean", "mul"],
    "between two": ["c"],
    "scaled input less a map": ["c"],
    "map less a scaled input": ["c"],
    "twice": ["c"],
    "half, reflected": ["c"],
    "a normalised picture unpadded": ["v"],
    "residual scaled": ["c"],
    "alpha": ["c"],
    "nothing added": ["c"],
    "in place": ["c"],
    "scale before several": ["c", "d"],
    "fused weights": ["c", "d"],
}


@pytest.mark.parametrize("name", NO_PASS)
def test_arithmetic_adds_no_layer_where_another_can_carry_it(name):
    graph = check_traced(module_of(SPELLINGS[name]), (4, 6, 7))
    assert len(graph.layers) == len(NO_PASS[name]), [layer.name for layer in graph.layers]


ACTIVATIONS = {
    "prelu": (nn.PReLU(4), ["prelu"]),
    "prelu of one slope": (nn.PReLU(), ["leaky_relu"]),
    "mish": (nn.Mish(), ["mish"]),
    "tanh": (nn.Tanh(), ["tanh"]),
    "softplus": (nn.Softplus(beta=2), ["affine", "softplus", "affine"]),
    "gelu tanh": (nn.GELU(approximate="tanh"), ["gelu_tanh"]),
    "selu": (nn.SELU(), ["elu", "affine"]),
    "celu": (nn.CELU(0.7), ["affine", "elu", "affine"]),
    "log sigmoid": (nn.LogSigmoid(), ["affine", "softplus", "affine"]),
    "softsign": (nn.Softsign(), ["softsign"]),
    "threshold": (nn.Threshold(0.3, -2.0), ["threshold"]),
    "rrelu": (nn.RReLU(), ["leaky_relu"]),
    "rounded": (Fn(lambda s, x: torch.round(x)), ["round"]),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_trace_takes_activations_of_torch(name):
    activation, kinds = ACTIVATIONS[name]
    if isinstance(activation, nn.PReLU):
        nn.init.uniform_(activation.weight, -0.5, 1.5)
    graph = check_traced(nn.Sequential(conv(), activation), (4, 6, 5))
    assert steps_of(graph, "0" if "prelu" not in kinds else graph.outputs[0]) == kinds
    assert [layer.op for layer in graph.layers if layer.op != "constant"] == ["conv"]


@pytest.mark.parametrize("activation", [nn.Tanhshrink(), nn.GLU(1)], ids=str)
def test_trace_takes_activations_of_several_layers(activation):
    check_traced(nn.Sequential(conv(), activation), (4, 6, 5))


def test_a_gate_that_is_expanded_is_read_as_it_is():
    graph = check_traced(module_of(SPELLINGS["gate expanded"]), (4, 6, 7))
    assert [layer.op for layer in graph.layers] == ["avg_pool", "conv"]


WRITTEN_OUT = {
    "hardswish": (lambda s, x: (y := s.c(x)) * F.relu6(y + 3) / 6, ["hardswish"]),
    "hardswish of a clamp": (lambda s, x: (y := s.c(x)) * ((y + 3).clamp(0, 6) / 6), ["hardswish"]),
    "hardswish with a factor": (lambda s, x: (y := s.c(x)) * F.relu6(y + 3) * 0.16666667, ["hardswish"]),
    "hardswish of a hardsigmoid": (lambda s, x: (y := s.c(x)) * (y / 6 + 0.5).clamp(0, 1), ["hardswish"]),
    "quick gelu": (lambda s, x: (y := s.c(x)) * torch.sigmoid(1.702 * y), ["affine", "silu", "affine"]),
    "mish": (lambda s, x: (y := s.c(x)) * torch.tanh(F.softplus(y)), ["mish"]),
    "gelu": (lambda s, x: 0.5 * (y := s.c(x)) * (1 + torch.erf(y / 2**0.5)), ["gelu"]),
    "swish of an input": (lambda s, x: s.c(x * torch.sigmoid(x)), []),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_activations_written_out_are_recognised(name):
    function, kinds = WRITTEN_OUT[name]
    graph = check_traced(Fn(function, c=conv()), (4, 6, 5), tolerance=1e-7)
    assert [step.kind for step in graph.layers[-1].epilogue] == kinds


def test_a_number_that_only_looks_like_hardswish_is_not_taken_for_it():
    check_traced(Fn(lambda s, x: (y := s.c(x)) * F.relu6(y + 2.9) / 6, c=conv()), (4, 6, 5))
    check_traced(Fn(lambda s, x: (y := s.c(x)) * F.relu6(y * 1.1 + 3) / 7, c=conv()), (4, 6, 5))


class Standardised(nn.Conv2d):
    def forward(self, x):
        mean, deviation = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / (deviation + 1e-5), self.bias, padding=1)


class Masked(nn.Conv2d):
    def forward(self, x):
        mask = (self.weight.abs() > 0.1).to(self.weight.dtype)
        return self._conv_forward(x, self.weight * mask, self.bias)


def pruned_by_torch():
    from torch.nn.utils import prune

    part = conv()
    prune.l1_unstructured(part, "weight", 0.5)
    return part


CONSTANT_SUBGRAPHS = {
    "weight norm": lambda: parametrizations.weight_norm(conv()),
    "old weight norm": lambda: torch.nn.utils.weight_norm(conv()),
    "spectral norm": lambda: parametrizations.spectral_norm(conv()),
    "orthogonal": lambda: parametrizations.orthogonal(conv()),
    "weight standardisation": lambda: Standardised(4, 6, 3),
    "masks": lambda: Masked(4, 6, 3, padding=1),
    "torch's pruning": pruned_by_torch,
}


@pytest.mark.parametrize("name", CONSTANT_SUBGRAPHS)
def test_weights_computed_from_parameters_are_folded(name):
    module = nn.Sequential(
        CONSTANT_SUBGRAPHS[name](), nn.BatchNorm2d(4 if "stand" not in name and name != "masks" else 6)
    )
    graph = trace(shake_batch_norms(module), (4, 6, 6), dtype=np.float64)
    assert [layer.op for layer in graph.layers] == ["conv"]
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    np.testing.assert_allclose(run_graph(graph, x.numpy())[0], expected, atol=2e-5)


class FrozenBatchNorm2d(nn.Module):
    """As torchvision and Detectron2 write it."""

    def __init__(self, channels):
        super().__init__()
        generator = torch.Generator().manual_seed(channels)
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(channels, generator=generator) + 0.5)

    def forward(self, x):
        scale = self.weight.reshape(1, -1, 1, 1) * (self.running_var.reshape(1, -1, 1, 1) + 1e-5).rsqrt()
        return x * scale + (self.bias.reshape(1, -1, 1, 1) - self.running_mean.reshape(1, -1, 1, 1) * scale)


def test_a_frozen_batch_norm_folds():
    graph = check_traced(nn.Sequential(conv(), FrozenBatchNorm2d(4), nn.ReLU()), (4, 6, 5))
    assert [(layer.op, steps_of(graph, layer.name)) for layer in graph.layers] == [("conv", ["relu"])]


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.silu(self.down(F.adaptive_avg_pool2d(x, 1)))))


def test_squeeze_excite_is_a_pool_two_convolutions_and_a_product():
    graph = check_traced(nn.Sequential(conv(), nn.SiLU(), SqueezeExcite(4), conv(kernel=1)), (4, 6, 5))
    assert [layer.op for layer in graph.layers] == ["conv", "avg_pool", "conv", "conv", "elementwise", "conv"]
    assert steps_of(graph, "2.up") == ["sigmoid"]


REFUSED = {
    "rounding": (lambda s, x: torch.div(x, 2, rounding_mode="floor"), "rounding_mode='floor'"),
    "random": (lambda s, x: x + torch.rand(4, 1, 1), "draws random numbers"),
    "integers": (lambda s, x: x.to(torch.int32).float(), "cast to torch.int32"),
    "softplus that bends": (lambda s, x: F.softplus(x, threshold=2), "threshold=2"),
}


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=list(REFUSED))
def test_arithmetic_no_layer_expresses_is_refused_by_name(function, message):
    with pytest.raises(UsageError, match=message) as error:
        trace(module_of(function), (4, 6, 7))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_modules_of_any_floating_type_become_float32(dtype):
    module = nn.Sequential(conv(), nn.PReLU(4), SqueezeExcite(4)).to(dtype)
    graph = trace(module, (4, 6, 6))
    assert {value.dtype for value in graph.weights.values()} == {np.dtype(np.float32)}
