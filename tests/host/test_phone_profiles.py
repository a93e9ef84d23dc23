"""The fp32 kernels that phones are to run, on this machine's OpenCL: each schedule, shaped by each phone's profile."""

from dataclasses import replace

import numpy as np
import pytest

from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.schedules import candidates
from devices import open_device
from models.graph.layer import Step
from models.graph.reference import run_single
from models.plans.sparsity import Sparsity
from models.prune.masks.build import mask
from tests import sweep
from tests.host.kernel_cases import MOVES, POOLS, window

PHONES = ("mali-g76", "mali-g78", "adreno-640", "adreno-730")
TOLERANCE = 1e-5
RELU, ADD = Step("relu"), Step("add")
LAYERS = {
    "1x1": (window("conv", (19, 38), (9, 23), epilogue=(ADD, RELU)), None),
    "1x1 columns": (window("conv", (24, 38), (9, 23), epilogue=(RELU,)), "columns:0.5:8x1"),
    "3x3": (window("conv", (20, 17), (11, 26), (3, 3), epilogue=(RELU,)), None),
    "3x3 block punched": (window("conv", (20, 17), (11, 26), (3, 3)), "block_punched:0.75:8x4"),
    "3x3 connectivity": (window("conv", (20, 17), (11, 26), (3, 3)), "connectivity:0.5:8x4"),
    "3x3 pattern": (window("conv", (20, 17), (11, 26), (3, 3)), "pattern:0.75"),
    "3x3 stride 2": (window("conv", (9, 17), (21, 38), (3, 3), stride=(2, 2)), None),
    "7x7 stride 2": (window("conv", (3, 13), (30, 41), (7, 7), stride=(2, 2)), None),
    "3x3 dilation 2": (window("conv", (8, 9), (12, 23), (3, 3), dilation=(2, 2)), None),
    "3x3 groups": (window("conv", (12, 8), (9, 15), (3, 3), groups=4), None),
    "depthwise 5x5": (window("conv", (6, 6), (17, 20), (5, 5), groups=6), None),
    "depthwise stride 2": (window("conv", (6, 6), (17, 21), (3, 3), stride=(2, 2), groups=6), None),
    "max pool": (POOLS["max 3x3 stride 2"], None),
    "average pool": (POOLS["avg without padding"], None),
    "concat": (MOVES["concat"], None),
    "add": (MOVES["add alone"], None),
    "bilinear": (MOVES["bilinear odd"], None),
}


@pytest.fixture(scope="module")
def phone(request, host):  # host: skipped where it is
    with open_device("host", request.param) as session:
        yield session


@sweep.part(3)
@pytest.mark.parametrize(("phone", "name"), sweep.pairs(PHONES, LAYERS), indirect=["phone"], scope="module")
def test_first_choice_of_each_schedule(phone, name):
    layer, text = LAYERS[name]
    sparsity = Sparsity.parse(text) if text else None
    seed = np.random.SeedSequence().entropy
    inputs, weights = random_operands(layer, seed)
    if sparsity is not None:
        weights = replace(weights, weight=weights.weight * mask(weights.weight, sparsity))
    workload = standalone_planes(layer, phone.profile.lanes, (1, 2), sparsity=sparsity)
    choices = {choice.schedule: choice for choice in reversed([*candidates(workload, phone.profile)])}
    expected = run_single(layer, inputs, weights.weight, weights.bias)
    for choice in choices.values():
        if sparsity is None or choice.schedule not in ("direct", "pointwise", "winograd", "image"):  # under dense names
            compiled = compile_layer(workload, weights, phone.profile, choice=choice)
            found = workload.output.unpack(LoadedLayer(compiled, phone).run(inputs))
            error = np.abs(found - expected).max() / np.abs(expected).max()
            assert error <= TOLERANCE, f"{choice} of {phone.profile.name}, seed {seed}: relative error {error}"
