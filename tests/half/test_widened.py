"""Sums in float32 of operands in half precision, by every schedule that makes them: exact where half sums are not, and
finite where these overflow."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codegen.judging.layers import RightResult
from codegen.kernels.workload import Weights
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.precision.emulation import Operands, direct_error, winograd_error
from codegen.schedules import RULES, candidates
from devices.profile import load_profile
from models.graph.reference import run_single
from models.plans.sparsity import Sparsity
from models.prune.masks.build import mask
from tests import sweep
from tests.half.half_cases import profiles
from tests.host.kernel_cases import ADD, RELU, window

DTYPE = "float16"
#: of a result, over the largest, by what is float32: rounding the operands is in neither, rounding the result in both
LARGEST = {"products": 2.0**-11, "sums": 2.0**-9}
DEEP = window("conv", (512, 16), (5, 9), (3, 3), epilogue=(ADD, RELU))
#: 4,608 products in a sum, of each kind of kernel; Winograd's sums are over 512 channels alone
LONG_SUMS = {
    "3x3": (DEEP, None),
    "3x3 stride 2": (window("conv", (512, 16), (5, 9), (3, 3), stride=(2, 2)), None),
    "1x1": (window("conv", (4608, 8), (3, 9), epilogue=(ADD,)), None),
    "7x7": (window("conv", (96, 8), (7, 9), (7, 7)), None),
    "groups": (window("conv", (1024, 16), (5, 9), (3, 3), groups=2), None),
    "then gelu": (replace(DEEP, epilogue=(RELU,), inputs=("x",), in_shapes=DEEP.in_shapes[:1]), None),
    "columns": (DEEP, Sparsity.parse("columns:0.1:4x1")),
    "columns unequal": (DEEP, Sparsity.parse("columns:0.1:4x1:free")),
    "columns 1x1": (window("conv", (4608, 8), (3, 9), epilogue=(ADD,)), Sparsity.parse("columns:0.1:8x1")),
    "blocks": (DEEP, Sparsity.parse("block_punched:0.2:8x4")),
    "connectivity": (DEEP, Sparsity.parse("connectivity:0.2:4x4")),
    "pattern": (window("conv", (1024, 8), (5, 9), (3, 3)), Sparsity.parse("pattern:0.56")),
}


def positive_operands(layer, sparsity):
    """Inputs as after a ReLU, whose sums wander far before they end."""
    inputs, weights = random_operands(layer, 5)
    inputs[0] = np.abs(inputs[0])
    if sparsity is not None:
        weights = replace(weights, weight=weights.weight * mask(weights.weight, sparsity))
    return inputs, weights


def planes(layer, profile, sparsity, widened):
    return standalone_planes(layer, profile.lanes_of(DTYPE), (1, 1), DTYPE, sparsity, widened)


def run(session, workload, operands, profile, choice):
    inputs, weights = operands
    return workload.output.unpack(
        LoadedLayer(compile_layer(workload, weights, profile, choice=choice), session).run(inputs)
    )


def first_of_each_schedule(workload, profile):
    """Some candidates of each schedule."""
    by_schedule = {}
    for choice in candidates(workload, profile):
        by_schedule.setdefault(choice.schedule, []).append(choice)
    return {name: sweep.sample(choices, 2) for name, choices in by_schedule.items()}


@sweep.part(24)
@pytest.mark.parametrize("widened", LARGEST)
@pytest.mark.parametrize("kind", ["cpu", "mali", "adreno"])
@pytest.mark.parametrize("name", LONG_SUMS)
def test_long_sums_in_float32_err_by_little(half, name, kind, widened):
    layer, sparsity = LONG_SUMS[name]
    profile, operands = profiles(half.profile)[kind], positive_operands(layer, sparsity)
    right = RightResult(layer, DTYPE, *operands)
    workload = planes(layer, profile, sparsity, widened)
    errors = {
        str(choice): right.relative_error(run(half, workload, operands, profile, choice))
        for choices in first_of_each_schedule(workload, profile).values()
        for choice in choices
    }
    winograd = {text: error for text, error in errors.items() if text.startswith("winograd")}
    others = {text: error for text, error in errors.items() if text not in winograd}
    assert max(others.values()) <= LARGEST[widened], others
    assert not winograd or max(winograd.values()) < 4e-3, "transforms, and weights transformed, are rounded to half"


@pytest.mark.parametrize("kind", ["cpu", "mali", "adreno"])
@pytest.mark.parametrize("name", ["3x3 stride 2", "1x1", "7x7", "columns"])
def test_long_sums_in_half_precision_err_by_far_more(half, name, kind):
    layer, sparsity = LONG_SUMS[name]
    profile, operands = profiles(half.profile)[kind], positive_operands(layer, sparsity)
    right, errors = RightResult(layer, DTYPE, *operands), {}
    for widened in ("", *LARGEST):
        workload = planes(layer, profile, sparsity, widened)
        choices = first_of_each_schedule(workload, profile)
        schedule = next(schedule for schedule in choices if not schedule.startswith("winograd"))
        errors[widened] = right.relative_error(run(half, workload, operands, profile, choices[schedule][0]))
    assert errors[""] > 0.005
    assert max(errors["sums"], errors["products"]) < errors[""] / 5


def overflowing(layer, sparsity=None):
    """Operands whose sums pass 65,504 on the way to results of a few hundred."""
    (channels, height, width), random = layer.in_shapes[0], np.random.default_rng(3)
    weight = np.full(layer.weight_shape, 8.0, np.float32)
    weight[:, channels // 2 :] = -8.0
    weight += random.uniform(-0.25, 0.25, layer.weight_shape).round(2).astype(np.float32)
    if sparsity is not None:
        weight *= mask(weight, sparsity)
    x = np.full((channels, height, width), 40.0, np.float32)
    return [x], Weights(weight, np.ones(layer.out_shape[0], np.float32))


@pytest.mark.parametrize("kind", ["cpu", "mali", "adreno"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_sums_beyond_halfs_range_are_finite_in_float32(half, kernel, kind):
    layer = window("conv", (512, 8), (5, 9), kernel)
    profile, operands = profiles(half.profile)[kind], overflowing(layer)
    right = RightResult(layer, DTYPE, *operands)
    narrow, wide = (planes(layer, profile, None, widened) for widened in ("", "products"))
    found = first_of_each_schedule(wide, profile)
    tried = [found[schedule][0] for schedule in ("direct", "pointwise") if schedule in found]
    assert len(tried) == (2 if kernel == (1, 1) else 1)
    for choice in tried:
        result = run(half, wide, operands, profile, choice)
        assert np.isfinite(result).all(), choice
        assert right.relative_error(result) < 2e-3, "a float32 sum of a million ends in sixteenths"
    choice = next(iter(first_of_each_schedule(narrow, profile)["direct"]))
    assert not np.isfinite(run(half, narrow, operands, profile, choice)).all()


def test_long_sums_are_made_by_every_schedule_that_widens():
    own = replace(load_profile("host"), fp16=True)
    tried = {
        schedule
        for layer, sparsity in LONG_SUMS.values()
        for profile in profiles(own).values()
        for schedule in first_of_each_schedule(planes(layer, profile, sparsity, "sums"), profile)
    }
    assert tried == {rule.name for rule in RULES if rule.widens}


@pytest.mark.parametrize("name", ["3x3", "1x1"])
def test_emulated_half_sums_err_as_those_of_kernels_do(half, name):
    """Everywhere in the image, by the direct kernel and by Winograd's."""
    layer = window("conv", (512, 32), (5, 9), (3, 3)) if name == "3x3" else window("conv", (1024, 16), (5, 9))
    profile, operands = profiles(half.profile)["adreno"], positive_operands(layer, None)
    right, workload = RightResult(layer, DTYPE, *operands), planes(layer, profile, None, "")
    inputs, weights = operands
    tensors = (inputs[0][None], weights.weight, weights.bias)
    given = Operands(layer, *map(torch.from_numpy, tensors))
    largest = np.abs(run_single(layer, inputs, weights.weight, weights.bias)).max()
    emulations = {"direct": direct_error} | ({"winograd": winograd_error} if name == "3x3" else {})
    for schedule, emulate in emulations.items():
        choice = first_of_each_schedule(workload, profile)[schedule][0]
        error = right.relative_error(run(half, workload, operands, profile, choice))
        emulated = emulate(given, 1000, np.random.default_rng(0)) / largest
        assert emulated == pytest.approx(error, rel=0.2), schedule
