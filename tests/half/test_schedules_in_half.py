"""Every schedule in half precision, with images and without, on this machine: judged by float64 as a tuner does it."""

from dataclasses import replace

import numpy as np
import pytest

from codegen.judging.layers import RightResult
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.schedules import RULES, candidates
from devices.profile import load_profile
from models.prune.masks.build import mask
from tests import sweep
from tests.half.half_cases import HALF_CASES, POINTS, WIDE, profiles
from tests.host.wrong_schedule import FAULTS

DTYPE = "float16"
#: candidates of each schedule, of each case and profile, that `make test` runs
FEW = 2


def operands(layer, sparsity, seed=7):
    inputs, weights = random_operands(layer, seed)
    if sparsity is not None:
        weights = replace(weights, weight=weights.weight * mask(weights.weight, sparsity))
    return inputs, weights


def by_schedule(workload, profile):
    """The candidates of each schedule."""
    choices = {}
    for choice in candidates(workload, profile):
        choices.setdefault(choice.schedule, []).append(choice)
    return choices


def planes(layer, profile, sparsity=None, border=(0, 0)):
    return standalone_planes(layer, profile.lanes_of(DTYPE), border, DTYPE, sparsity)


def result_of(session, profile, workload, operands, choice):
    inputs, weights = operands
    flat = LoadedLayer(compile_layer(workload, weights, profile, choice=choice), session).run(inputs)
    return workload.output.unpack(flat)


@sweep.part(4)
@pytest.mark.parametrize("kind", ["cpu", "mali", "adreno"])
@pytest.mark.parametrize("name", HALF_CASES)
def test_right_kernels_are_not_refused(half, name, kind):
    layer, sparsity = HALF_CASES[name]
    profile, given = profiles(half.profile)[kind], operands(layer, sparsity)
    right = RightResult(layer, DTYPE, *given)
    workload = planes(layer, profile, sparsity, border=(2, 1) if kind == "mali" else (0, 0))
    faults = {}
    for choices in by_schedule(workload, profile).values():
        for choice in sweep.sample(choices, FEW):
            fault = right.fault(result_of(half, profile, workload, given, choice), choice)
            if fault is not None:
                faults[str(choice)] = fault
    assert faults == {}


def test_cases_have_every_schedule():
    own = replace(load_profile("host"), fp16=True)
    tried = {
        schedule
        for layer, sparsity in HALF_CASES.values()
        for profile in profiles(own).values()
        for schedule in by_schedule(planes(layer, profile, sparsity), profile)
    }
    assert tried == {rule.name for rule in RULES}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("an error of 5e-4", "a NaN")])
@pytest.mark.parametrize("layer", [WIDE, POINTS], ids=["3x3", "1x1"])
def test_wrong_kernels_are_refused(half, layer, fault):
    """A factor of 1.0005 is rounding in half precision."""
    inputs, weights = operands(layer, None)
    right, profile = RightResult(layer, DTYPE, inputs, weights), profiles(half.profile)["adreno"]
    weight, bias = FAULTS[fault](weights.weight, weights.bias)
    wrong = (inputs, replace(weights, weight=weight, bias=bias))
    workload = planes(layer, profile)
    for choices in by_schedule(workload, profile).values():
        result = result_of(half, profile, workload, wrong, choices[0])
        assert np.isfinite(result).all()
        assert "is wrong in" in (right.fault(result, choices[0]) or ""), choices[0]
