"""Winograd kernels against float64: their space, odd shapes, epilogues, whole kernels missing."""

from dataclasses import replace

import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.layer import ENTRY, LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.schedules import candidates, default_choice
from codegen.schedules.winograd import WinogradTile, legal
from codegen.schedules.winograd_transforms import FILTER, transform_filters, transform_input, transform_output
from models.graph.reference import run_single
from models.plans.sparsity import Sparsity
from tests import sweep
from tests.host.kernel_cases import ADD, GATED, RELU, window
from tests.host.test_kernels import check

SHAPES = {
    "19 to 38": window("conv", (19, 38), (9, 13), (3, 3), epilogue=(RELU,)),
    "145 to 57, wide": window("conv", (145, 57), (6, 71), (3, 3)),
    "one pixel": window("conv", (5, 3), (1, 1), (3, 3)),
    "one row": window("conv", (4, 6), (1, 33), (3, 3), bias=False),
    "one column": window("conv", (4, 6), (23, 1), (3, 3)),
    "gate then add": GATED["3x3"],
    "add then relu": window("conv", (16, 24), (11, 18), (3, 3), epilogue=(ADD, RELU)),
    "relu then add": window("conv", (33, 40), (46, 46), (3, 3), epilogue=(RELU, ADD)),
    "wide padding": window("conv", (6, 8), (7, 9), (3, 3), padding=(3, 2)),
    "no padding": window("conv", (6, 8), (13, 70), (3, 3), padding=(0, 0)),
    "padded above and below": window("conv", (6, 8), (13, 49), (3, 3), padding=(1, 0)),
    "185 to 19": window("conv", (185, 19), (5, 6), (3, 3)),
}


def choices(session, layer, profile=None, sparsity=None, names=("winograd", "winograd_sparse")) -> list[ScheduleChoice]:
    profile = profile or session.profile
    workload = standalone_planes(layer, profile.lanes, sparsity=sparsity)
    return [choice for choice in candidates(workload, profile) if choice.schedule in names]


@pytest.mark.parametrize("m", [2, 4])
def test_transforms_are_the_convolution(m):
    """F(m, 3) of one row, in exact enough arithmetic: A' ((G g) (B' d)) = the three-tap filter."""
    random = np.random.default_rng()
    d, g = random.standard_normal(m + 2), random.standard_normal(3)
    products = (FILTER[m] @ g) * np.array(transform_input(d, m, float, float))
    found = transform_output(products, m, float, float)
    np.testing.assert_allclose(found, np.convolve(d, g[::-1], "valid"), atol=1e-12)


def test_a_missing_kernel_is_still_missing_when_transformed():
    weight = np.random.default_rng().standard_normal((4, 5, 3, 3))
    weight[1, 2] = 0
    for m in (2, 4):
        assert (transform_filters(weight, m)[:, 1, 2] == 0).all()


@sweep.part(6)
@pytest.mark.parametrize(("name", "m"), sweep.pairs(SHAPES, (2, 4)))
def test_winograd_is_right_at_every_tile_size(host, name, m):
    layer = SHAPES[name]
    found = choices(host, layer)
    assert {choice.config.m for choice in found} == {2, 4}
    check(host, layer, border=(2, 2), choice=next(choice for choice in found if choice.config.m == m))


def test_winograd_is_right_in_its_space(host):
    layer = window("conv", (10, 21), (13, 37), (3, 3), epilogue=(ADD, RELU))
    for choice in sweep.sample(choices(host, layer)):
        check(host, layer, border=(1, 1), choice=choice)


@pytest.mark.parametrize("registers", [None, 64], ids=["all rows", "a row"])
@pytest.mark.parametrize("name", ["19 to 38", "add then relu", "one pixel"])
def test_winograd_shaped_for_a_phone_is_right(host, name, registers):
    """Rows of tiles fill whole vectors; work-groups hang over the grid's edge. With few registers a work-item makes a
    row of a transform's result, else all of them."""
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5, registers_per_thread=registers)
    for choice in sweep.sample(choices(host, SHAPES[name], phone)[::3]):
        check(host, SHAPES[name], border=(2, 1), profile=phone, choice=choice)


@pytest.mark.parametrize(
    ("name", "gpu"),
    sweep.pairs(["no padding", "145 to 57, wide", "one pixel", "padded above and below"], ["cpu", "mali"]),
)
def test_nothing_beyond_the_input_border_matters(host, name, gpu):
    """Gaps, slack and what lies between planes are NaN, all but the border that the padding needs."""
    profile = host.profile if gpu == "cpu" else replace(host.profile, gpu=gpu, lanes=8, accumulators=16)
    layer = SHAPES[name]
    workload, (inputs, weights) = standalone_planes(layer, profile.lanes, (1, 1)), random_operands(layer, 0)
    for m in (2, 4):
        loaded = LoadedLayer(
            compile_layer(workload, weights, profile, choice=ScheduleChoice("winograd", WinogradTile(m, 4, 2))), host
        )
        arguments = loaded.arguments(inputs)
        arguments[0] = tvm.runtime.tensor(surrounded_by_nan(workload.inputs[0], inputs[0]), host.device)
        loaded.module[ENTRY](*arguments)
        found = workload.output.unpack(arguments[-1].numpy())
        expected = run_single(layer, inputs, weights.weight, weights.bias)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def surrounded_by_nan(plane, tensor: np.ndarray) -> np.ndarray:
    """The tensor in its plane, zero in the plane's border, NaN everywhere else."""
    flat = np.full(plane.size, np.nan, np.float32)
    (above, left), channels = plane.border, np.arange(plane.channels)[:, None, None]
    rows = np.arange(-above, plane.height + above)[:, None]
    flat[plane.index(channels, rows, np.arange(-left, plane.width + left))] = 0
    flat[plane.index(channels, np.arange(plane.height)[:, None], np.arange(plane.width))] = tensor
    return flat


@pytest.mark.parametrize("text", ["connectivity:0.5:8x1", "connectivity:0.75:4x4", "connectivity:0.9:16x1:free"])
def test_winograd_sparse_skips_missing_kernels(host, text):
    layer, sparsity = window("conv", (19, 38), (9, 21), (3, 3), epilogue=(RELU,)), Sparsity.parse(text)
    found = choices(host, layer, sparsity=sparsity, names=("winograd_sparse",))
    assert {choice.config.m for choice in found} == {2, 4}
    for choice in sweep.sample(found[::2]):
        check(host, layer, border=(1, 2), choice=choice, sparsity=sparsity)


def test_winograd_declines_what_is_not_legal(host):
    for layer in (
        window("conv", (8, 8), (9, 9), (3, 3), stride=(2, 2)),
        window("conv", (8, 8), (9, 9), (3, 3), dilation=(2, 2)),
        window("conv", (8, 8), (9, 9), (3, 3), groups=2),
        window("conv", (8, 8), (9, 9), (5, 5)),
    ):
        assert not legal(standalone_planes(layer, 16)), layer
        assert not choices(host, layer)
    half = standalone_planes(SHAPES["19 to 38"], 4, dtype="float16")
    found = [c.config.m for c in candidates(half, host.profile) if c.schedule == "winograd"]
    assert set(found) == {2}, "F(4 x 4) is too coarse in half precision"


def test_many_channels_are_preferred_to_direct(host):
    wide = standalone_planes(window("conv", (88, 88), (46, 46), (3, 3)), 16)
    narrow = standalone_planes(window("conv", (3, 16), (46, 46), (3, 3)), 16)
    assert default_choice(wide, host.profile).schedule == "winograd"
    assert default_choice(narrow, host.profile).schedule != "winograd"


@settings(max_examples=sweep.examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_winograd_is_right_for_random_shapes(host, data):
    channels = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)), "channels")
    size = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 90)), "size")
    m, filters = data.draw(st.sampled_from([2, 4]), "m"), data.draw(st.integers(1, 9), "filters")
    vectors, first = data.draw(st.integers(1, 3), "vectors"), data.draw(st.integers(0, 1), "filters first")
    layer = window(
        "conv", channels, size, (3, 3), epilogue=data.draw(st.sampled_from([(), (RELU,), (ADD,)]), "epilogue")
    )
    border = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)), "border")
    check(host, layer, border, choice=ScheduleChoice("winograd", WinogradTile(m, filters, vectors, first)))
