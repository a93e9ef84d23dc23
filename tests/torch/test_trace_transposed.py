"""torch's transposed convolutions -> Graph, in float64 against torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from random_weights import check_traced, shake_batch_norms
from torch import nn

from models.graph.receptive import receptive_fields
from tests import sweep
from tests.small_network import Fn


@settings(
    max_examples=sweep.examples(25),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(data=st.data())
def test_trace_takes_transposed_convolutions_of_every_kind(data):
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    groups = data.draw(st.integers(1, 3))
    stride, dilation, (height, width) = pair(1, 4), pair(1, 3), pair(2, 9)
    more = tuple(data.draw(st.integers(0, max(stride[axis], dilation[axis]) - 1)) for axis in (0, 1))
    inputs, outputs = (groups * count for count in pair(1, 4))
    settings = {"padding": pair(0, 4), "output_padding": more, "bias": data.draw(st.booleans()), "dilation": dilation}
    convolution = nn.ConvTranspose2d(inputs, outputs, pair(1, 5), stride, groups=groups, **settings)
    try:
        left = convolution(torch.zeros(1, inputs, height, width)).numel()
    except RuntimeError:
        left = 0
    assume(left > 0)
    module = shake_batch_norms(nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU()))
    (layer,) = check_traced(module, (inputs, height, width)).layers
    assert layer.transposed
    assert [str(step) for step in layer.epilogue] == ["relu"]
    assert layer.macs == inputs // groups * outputs * layer.kernel[0] * layer.kernel[1] * height * width


def test_pad_before_a_transposed_convolution_stays_a_layer():
    module = Fn(lambda s, x: s.up(F.pad(x, (1, 2, 0, 3))), up=nn.ConvTranspose2d(4, 3, 4, 2, 1))
    graph = check_traced(module, (4, 5, 6))
    assert [layer.transposed for layer in graph.layers] == [False, True]


@pytest.mark.parametrize(("kernel", "stride", "field"), [(4, 2, 2), (2, 2, 1), (3, 1, 3)])
def test_receptive_field_of_a_transposed_convolution(kernel, stride, field):
    graph = check_traced(nn.ConvTranspose2d(2, 3, kernel, stride, kernel // 2 - stride // 2), (2, 6, 7))
    axis = receptive_fields(graph)[graph.outputs[0]].rows
    assert axis.stride == pytest.approx(1 / stride)
    assert field <= axis.size <= field + 1
