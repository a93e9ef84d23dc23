"""The configurations in the spaces of the dense schedules against float64, on odd shapes; phone-shaped ones too."""

from dataclasses import replace

import pytest
import tvm

from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.layer import random_operands, standalone_planes
from codegen.lowering.target import make_target
from codegen.schedules import schedule
from codegen.schedules.depthwise import DEPTHWISE
from codegen.schedules.direct import DIRECT
from codegen.schedules.phases import PHASES
from codegen.schedules.pointwise import POINTWISE
from codegen.schedules.pool import POOL
from codegen.schedules.resize import RESIZE
from devices.profile import load_profile
from tests import sweep
from tests.host.kernel_cases import ADD, CONVOLUTIONS, MOVES, POOLS, RELU, window
from tests.host.test_kernels import check

CASES = {
    "3x3": (DIRECT, window("conv", (5, 38), (9, 41), (3, 3), epilogue=(RELU, ADD))),
    "3x3 stride 2": (DIRECT, window("conv", (4, 19), (13, 70), (3, 3), stride=(2, 2))),
    "7x7 stride 2": (DIRECT, window("conv", (3, 13), (15, 34), (7, 7), stride=(2, 2))),
    "even kernel, stride 2": (DIRECT, window("conv", (3, 16), (12, 40), (2, 4), stride=(1, 2), padding=(0, 2))),
    "1x1 stride 2": (DIRECT, window("conv", (7, 24), (11, 37), stride=(2, 2), epilogue=(ADD, RELU))),
    "3x3 groups": (DIRECT, window("conv", (6, 38), (5, 33), (3, 3), groups=2)),
    "1x1 residual": (POINTWISE, window("conv", (19, 57), (7, 50), epilogue=(ADD, RELU))),
    "1x1": (POINTWISE, window("conv", (5, 145), (3, 92))),
    "1x1 few filters": (POINTWISE, window("conv", (3, 2), (5, 46))),
    "depthwise": (DEPTHWISE, window("conv", (5, 5), (23, 46), (3, 3), groups=5, epilogue=(ADD, RELU))),
    "depthwise stride 2": (DEPTHWISE, window("conv", (3, 3), (29, 45), (3, 3), stride=(2, 2), groups=3)),
    "depthwise 5x5 dilated": (DEPTHWISE, window("conv", (3, 3), (14, 20), (5, 5), dilation=(2, 2), groups=3)),
    "max pool": (POOL, window("max_pool", (3, 3), (16, 70), (3, 3), stride=(2, 2))),
    "avg pool": (POOL, window("avg_pool", (3, 3), (16, 33), (3, 3), stride=(2, 2), count_include_pad=False)),
}

#: of CPUs alone
PHASED = {
    "3x3 phases": (PHASES, window("conv", (4, 19), (13, 70), (3, 3), stride=(2, 2), epilogue=(ADD, RELU))),
    "3x3 phases, odd width": (PHASES, window("conv", (2, 5), (12, 33), (3, 3), stride=(2, 2))),
    "7x7 phases": (PHASES, window("conv", (3, 13), (15, 34), (7, 7), stride=(2, 2))),
    "1x1 phases": (PHASES, window("conv", (7, 24), (11, 37), stride=(2, 2), epilogue=(ADD, RELU))),
    "dilated phases": (PHASES, window("conv", (6, 5), (21, 33), (3, 3), stride=(2, 2), dilation=(3, 3))),
    "unpadded phases": (PHASES, window("conv", (3, 8), (16, 50), (4, 4), stride=(2, 2), padding=(0, 0))),
    "wide padding": (PHASES, window("conv", (2, 4), (9, 20), (3, 3), stride=(2, 2), padding=(2, 9))),
}

PHONES = {
    "narrow": {"lanes": 4, "accumulators": 8, "work_group": 7},
    "wide": {"lanes": 8, "accumulators": 12, "work_group": 16},
}


@sweep.part(6)
@pytest.mark.parametrize("name", [*CASES, *PHASED])
def test_direct_is_right_in_its_space(host, name):
    rule, layer = {**CASES, **PHASED}[name]
    configs = rule.space(standalone_planes(layer, host.profile.lanes), host.profile)
    assert len(configs) == len(set(configs)) <= 16
    assert configs
    for config in sweep.sample(configs):
        check(host, layer, (1, 2), choice=ScheduleChoice(rule.name, config))


@sweep.part(5)
@pytest.mark.parametrize(("name", "phone"), sweep.pairs(CASES, PHONES))
def test_first_and_last_configuration_of_a_phone(host, name, phone):
    rule, layer = CASES[name]
    profile = replace(host.profile, gpu="mali", **PHONES[phone])
    configs = rule.space(standalone_planes(layer, profile.lanes), profile)
    assert len(configs) <= 16
    for config in {configs[0], configs[-1]}:
        check(host, layer, (1, 1), profile=profile, choice=ScheduleChoice(rule.name, config))


@pytest.mark.parametrize("profile", ["generic_mali", "generic_adreno"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_code_is_generated_for_phones(profile, dtype):
    profile = load_profile(profile)
    lanes = profile.lanes * (2 if dtype == "float16" else 1)
    layers = [*(layer for _, layer in CASES.values()), MOVES["bilinear x2"], MOVES["nearest x2"]]
    for layer in layers:
        workload = standalone_planes(layer, lanes, (1, 1), dtype)
        kernel = schedule(workload, random_operands(layer, 0)[1], profile)
        function = kernel.func.with_attr("global_symbol", "main")
        tvm.tirx.build(tvm.IRModule({"main": function}), target=make_target(profile))


WIDTHS = (1, 7, 8, 15, 16, 17, 33)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pool_is_right_at_any_width(host, stride):
    for width in sweep.sample(WIDTHS):
        layer = window("max_pool", (2, 2), (5, width), (3, 3), stride=(2, stride), padding=(1, 1))
        check(host, layer, (0, 1))


@pytest.mark.parametrize("name", [name for name in MOVES if "x2" in name])
def test_resize_doubles_any_width(host, name):
    for width in sweep.sample(WIDTHS):
        layer = replace(MOVES[name], in_shapes=((2, 3, width),), out_shape=(2, 6, 2 * width))
        check(host, layer, (0, 1))


def test_the_rules_answer_what_they_are_for(host):
    def answers(rule, layer) -> bool:
        return bool(rule.space(standalone_planes(layer, host.profile.lanes), host.profile))

    for name, layer in {**CONVOLUTIONS, **POOLS, **MOVES}.items():
        assert answers(DIRECT, layer) == (layer.op == "conv"), name
        assert answers(DEPTHWISE, layer) <= (layer.groups > 1), name
        assert answers(POOL, layer) == layer.op.endswith("_pool"), name
        assert answers(RESIZE, layer) == (layer.op == "resize"), name
    assert answers(POINTWISE, CONVOLUTIONS["1x1 odd channels"])
    assert not answers(POINTWISE, CONVOLUTIONS["1x1 stride 2"])
    assert not answers(POINTWISE, CONVOLUTIONS["3x3 no padding"])
