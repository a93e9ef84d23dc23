"""Transposed convolutions on this machine's OpenCL, over RPC, against float64; every way to compute them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from codegen.lowering.layer import standalone_planes
from codegen.schedules import candidates
from models.graph.layer import Layer, Step
from models.plans.sparsity import Sparsity
from tests import sweep
from tests.host.test_kernels import check

ADD, RELU = Step("add"), Step("relu")


def transposed(
    channels: tuple[int, int],
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int] = (2, 2),
    padding: tuple[int, int] = (1, 1),
    output_padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    epilogue: tuple[Step, ...] = (),
    bias: bool = True,
) -> Layer:
    """A transposed convolution; its output's extent is torch's formula."""
    height, width = (
        (size[a] - 1) * stride[a] - 2 * padding[a] + dilation[a] * (kernel[a] - 1) + output_padding[a] + 1
        for a in (0, 1)
    )
    shape = (channels[1], height, width)
    addends = sum(step.kind == "add" for step in epilogue)
    names = ("x", *(f"addend{number}" for number in range(addends)))
    shapes = ((channels[0], *size), *[shape] * addends)
    return Layer(
        "layer", "conv", names, shapes, shape, kernel, stride, padding, dilation, groups, bias, epilogue,
        transposed=True,
    )  # fmt: skip


CASES = {
    "4x4 stride 2, 6 wide": transposed((32, 24), (8, 6), (4, 4), epilogue=(RELU,)),
    "4x4 stride 2, 24 wide": transposed((17, 19), (7, 24), (4, 4)),
    "2x2 stride 2": transposed((9, 20), (5, 33), (2, 2), padding=(0, 0)),
    "3x3 stride 2, output padding": transposed((8, 11), (6, 17), (3, 3), output_padding=(1, 1), epilogue=(ADD, RELU)),
    "5x3 stride 1x3, dilated": transposed((4, 6), (9, 18), (5, 3), (1, 3), (2, 0), dilation=(1, 2)),
    "1x1 stride 2": transposed((6, 5), (5, 20), (1, 1), padding=(0, 0), output_padding=(1, 1)),
    "depthwise 4x4 stride 2": transposed((12, 12), (9, 20), (4, 4), groups=12, bias=False),
    "groups of 3 to 4 channels": transposed((6, 8), (7, 19), (4, 4), groups=2),
    "16x16 stride 8": transposed((3, 5), (4, 7), (16, 16), (8, 8), (4, 4)),
    "cropped by more than a kernel": transposed((3, 4), (9, 9), (3, 3), (1, 1), (4, 3)),
}


def choices(host, layer: Layer, sparsity: Sparsity | None = None) -> list:
    """Of each way, the first tile that it would take."""
    workload = standalone_planes(layer, host.profile.lanes, (1, 1), sparsity=sparsity)
    found = list(candidates(workload, host.profile))
    assert {choice.schedule for choice in found} == {"transposed"}
    by_way = {flat: [choice for choice in found if choice.config.flat == flat] for flat in (0, 1)}
    return list(dict.fromkeys(way[0] for way in by_way.values() if way))


@sweep.part(5)
@pytest.mark.parametrize("name", CASES)
def test_transposed_convolutions_equal_float64(host, name):
    for choice in choices(host, CASES[name]):
        check(host, CASES[name], border=(1, 2), choice=choice)


@pytest.mark.parametrize("name", ["3x3 stride 2, output padding", "16x16 stride 8"])
def test_transposed_convolutions_shaped_for_a_phone_equal_float64(host, name):
    """Narrow vectors, few registers and work-groups whose last one hangs over the edge of the grid."""
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5)
    check(host, CASES[name], border=(1, 2), profile=phone)


@pytest.mark.parametrize("text", ["columns:0.75:4x1", "block_punched:0.5:8x4", "connectivity:0.75:4x2"])
def test_sparse_transposed_convolutions_equal_float64(host, text):
    sparsity = Sparsity.parse(text)
    layer = transposed((16, 20), (6, 13), (4, 4))
    for choice in choices(host, layer, sparsity):
        check(host, layer, border=(1, 1), choice=choice, sparsity=sparsity)


@settings(max_examples=sweep.examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_transposed_convolutions_equal_float64(host, data):
    def pair(name: str, low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)), name)

    groups = data.draw(st.sampled_from([1, 1, 1, 2, 3]), "groups")
    kernel, dilation, stride = pair("kernel", 1, 5), pair("dilation", 1, 3), pair("stride", 1, 4)
    padding, size = pair("padding", 0, 4), pair("size", 1, 40)
    output_padding = tuple(
        data.draw(st.integers(0, max(stride[axis], dilation[axis]) - 1), "output padding") for axis in (0, 1)
    )
    channels = tuple(groups * count for count in pair("channels", 1, 9))
    layer = transposed(channels, size, kernel, stride, padding, output_padding, dilation, groups)
    assume(min(layer.out_shape) > 0)
    workload = standalone_planes(layer, host.profile.lanes, (1, 1))
    choice = data.draw(st.sampled_from(list(candidates(workload, host.profile))), "choice")
    check(host, layer, pair("border", 0, 2), choice=choice)


def test_transposed_convolution_has_the_products_of_its_input():
    layer = transposed((256, 128), (8, 6), (4, 4))
    assert layer.out_shape == (128, 16, 12)
    assert layer.macs == 8 * 6 * 256 * 128 * 16
    assert np.prod(layer.weight_shape) == layer.params - 128
