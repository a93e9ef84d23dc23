"""How many sums a GPU's work-items have before functions, and tiles that crowd its registers; `codegen.inspect` shows
that what is not held back spills."""

import pytest

from codegen.lowering.layer import standalone_planes
from codegen.schedules import candidates, default_choice
from codegen.schedules.tile_choice import most_sums
from devices.profile import load_profile
from models.graph.layer import Step
from models.plans.sparsity import Sparsity
from tests.host.kernel_cases import ADD, window

ELU, SILU, GELU = Step("elu", (1.0,)), Step("silu"), Step("gelu")
GPUS = ["mali-g76", "adreno-730", "generic_mali", "generic_adreno"]


def workload_of(profile, dtype, epilogue=(), channels=(128, 128), kernel=(1, 1), sparsity=None, **options):
    layer = window("conv", channels, (46, 46), kernel, epilogue=epilogue, **options)
    return standalone_planes(layer, profile.lanes_of(dtype), dtype=dtype, sparsity=sparsity)


@pytest.mark.parametrize(("epilogue", "dtype", "sums"), [
    ((ELU,), "float32", 8),
    ((ELU,), "float16", 16),
    ((SILU, ADD), "float16", 8),
    ((GELU,), "float32", 8),
    ((SILU, GELU), "float16", 4),
], ids=str)  # fmt: skip
def test_sums_of_an_adreno_before_functions(epilogue, dtype, sums):
    profile = load_profile("adreno-730")
    assert most_sums(workload_of(profile, dtype, epilogue), profile) == sums


def test_functions_of_a_mali_leave_all_its_sums():
    profile = load_profile("mali-g76")
    assert {most_sums(workload_of(profile, "float16", steps), profile) for steps in ((), (ELU, ADD), (GELU,))} == {8}


@pytest.mark.parametrize("name", GPUS)
def test_columns_have_a_tile_a_work_item(name):
    profile = load_profile(name)
    workload = workload_of(profile, "float16", sparsity=Sparsity("columns", 0.5, (8, 1)))
    assert default_choice(workload, profile).config.tiles == 1


@pytest.mark.parametrize("name", GPUS)
def test_many_weights_at_stride_two_leave_a_gpu_fewer_vectors(name):
    profile = load_profile(name)
    vectors = {size: most_vectors(depthwise(profile, size, 2), profile) for size in (3, 5)}
    assert vectors[5] == (2 if profile.accumulators == 16 else 1)
    assert vectors[5] < vectors[3]


def most_vectors(workload, profile):
    return max(choice.config.vectors for choice in candidates(workload, profile) if choice.schedule == "depthwise")


def depthwise(profile, size, stride):
    options = {"stride": (stride, stride), "groups": 128}
    return workload_of(profile, "float16", kernel=(size, size), **options)
