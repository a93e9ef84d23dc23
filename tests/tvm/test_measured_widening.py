"""Which layers half precision does not suffice for, measured on networks made to need float32 in known layers."""

import numpy as np
import pytest
import torch
from torch import nn

from codegen.kernels.widening import widened_part
from codegen.precision.choice import MOST_ERROR, Widening
from codegen.precision.emulation import Operands, direct_error, winograd_error
from codegen.precision.measuring import measure_widening
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.plans.sparsity import Sparsity
from tests.host.kernel_cases import ADD, window


class OfEachKind(nn.Module):
    """Convolutions with short sums, long ones, and some that leave half's range and come back."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 64, 3, padding=1)
        self.short = nn.Conv2d(64, 64, 1)
        self.depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.long = nn.Conv2d(64, 16, 15, padding=7)
        self.huge = nn.Conv2d(64, 16, 1)
        with torch.no_grad():
            self.huge.weight.copy_(torch.randn(16, 64, 1, 1))
            self.huge.weight[:, :32] += 9000
            self.huge.weight[:, 32:] -= 9000

    def forward(self, x):
        x = self.first(x).relu()
        twice = torch.cat([x[:, :32], x[:, :32]], 1)
        return self.long(self.depthwise(self.short(x)).relu()), self.huge(twice)


@pytest.fixture(scope="module")
def graph():
    return trace(OfEachKind().eval(), (3, 16, 18), "kinds")


@pytest.fixture(scope="module")
def choice(graph):
    inputs = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3, 16, 18)).astype(np.float32)
    return measure_widening(graph, inputs)


def test_layers_that_need_float32_are_chosen_and_no_others(graph, choice):
    assert choice.widened == {"long": "sums", "huge": "products"}
    assert choice.layers["long"].products == 64 * 225
    assert choice.layers["long"].error > MOST_ERROR
    assert choice.layers["short"].error < 0.003
    assert choice.layers["huge"].largest > 65504


def test_a_choice_decides_what_is_built_in_half_precision_alone(graph, choice):
    chosen = choice.on(graph)
    assert {layer.name for layer in graph.layers if widened_part(chosen, layer, "float16")} == {"long", "huge"}
    assert not any(widened_part(chosen, layer, "float32") for layer in graph.layers)


def test_length_decides_where_nothing_was_measured(graph):
    assert {layer.name for layer in graph.layers if widened_part(graph, layer, "float16")} == {"long"}


def test_a_choice_comes_back_from_its_file(graph, choice, tmp_path):
    choice.save(tmp_path / "widening.json")
    assert Widening.load(tmp_path / "widening.json", "kinds") == choice
    with pytest.raises(UsageError, match="is of kinds, not of lwop"):
        Widening.load(tmp_path / "widening.json", "lwop")
    others = Widening("kinds", {"lang": choice.layers["long"]})
    with pytest.raises(UsageError, match="did you mean 'long'"):
        others.check(graph)


def operands(layer, seed=1, scale=1.0):
    random = np.random.default_rng(seed)
    x = np.abs(random.standard_normal((1, *layer.in_shapes[0])))
    weight = random.standard_normal(layer.weight_shape) / np.sqrt(np.prod(layer.weight_shape[1:]))
    addend = random.standard_normal(layer.out_shape) if layer.epilogue else None
    tensors = [torch.from_numpy(array.astype(np.float32)) for array in (scale * x, weight)]
    return Operands(
        layer, *tensors, torch.zeros(len(weight)), None if addend is None else torch.from_numpy(addend).float()
    )


def relative(error, given):
    """An error over the largest value of the layer."""
    layer = given.layer
    value = torch.nn.functional.conv2d(
        given.x, given.weight, given.bias, layer.stride, layer.padding, layer.dilation, layer.groups
    )
    return error / float(value.abs().max())


@pytest.mark.parametrize("groups", [1, 2, 16])
def test_half_sums_err_more_the_longer_they_are(groups):
    errors = []
    for channels in (32, 512, 4096):
        given = operands(window("conv", (channels, 16), (6, 7), epilogue=(ADD,), groups=groups))
        errors.append(relative(direct_error(given, 64, np.random.default_rng(0)), given))
    assert errors[0] < errors[1] < errors[2]
    if groups == 1:
        assert errors[2] > 0.01


def test_winograds_sums_over_channels_err_less_than_direct_ones():
    given = operands(window("conv", (512, 32), (7, 9), (3, 3)))
    direct, winograd = (function(given, 64, np.random.default_rng(0)) for function in (direct_error, winograd_error))
    assert relative(direct, given) > relative(winograd, given) > 0


def test_sums_that_overflow_are_infinitely_wrong():
    for layer in (window("conv", (8, 4), (5, 6)), window("conv", (32, 32), (5, 6), (3, 3))):
        given = operands(layer, scale=1e5)
        assert direct_error(given, 8, np.random.default_rng(0)) == float("inf")


def test_a_pruned_layer_is_not_taken_for_winograds():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.deep = nn.Conv2d(512, 32, 3, padding=1)

        def forward(self, x):
            return self.deep(x)

    graph = trace(Deep().eval(), (512, 6, 7), "deep")
    inputs = np.random.default_rng(0).uniform(0, 1, (1, 512, 6, 7)).astype(np.float32)
    dense = measure_widening(graph, inputs).layers["deep"]
    pruned = measure_widening(graph, inputs, {"deep": Sparsity.parse("columns:0.01:4x1")}).layers["deep"]
    assert dense.error < pruned.error
    assert (dense.widened, pruned.widened) == ("", "sums")
