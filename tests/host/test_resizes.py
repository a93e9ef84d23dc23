"""Resizes in every mode on this machine's OpenCL, over RPC, against float64, by every way there is to compute them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.lowering.layer import standalone_planes
from codegen.schedules import candidates
from models.graph.layer import Layer, Step
from models.graph.resizing import MODES
from tests import sweep
from tests.host.test_kernels import check


def resize(mode: str, size: tuple[int, int], target: tuple[int, int], **others) -> Layer:
    epilogue = (Step("add"), Step("relu"))
    shapes = ((3, *size), (3, *target))
    return Layer("layer", "resize", ("x", "y"), shapes, (3, *target), mode=mode, epilogue=epilogue, **others)


CASES = {
    "nearest that float32 rounds": resize("nearest", (26, 3), (22, 4)),
    **{f"{mode} up": resize(mode, (7, 13), (12, 33)) for mode in MODES},
    **{f"{mode} down": resize(mode, (11, 40), (4, 9)) for mode in MODES},
    **{f"{mode} doubled": resize(mode, (5, 9), (10, 18)) for mode in MODES},
    "scaled nearest": resize("nearest", (7, 13), (10, 19), scale=(1 / 1.5, 1 / 1.5)),
    "scaled bilinear": resize("bilinear", (7, 13), (9, 9), scale=(1 / 1.3, 1 / 0.7)),
    "bicubic corners": resize("bicubic", (7, 13), (9, 1), align_corners=True),
}


def check_all(host, layer: Layer) -> None:
    workload = standalone_planes(layer, host.profile.lanes, (1, 1))
    for choice in candidates(workload, host.profile):
        check(host, layer, border=(1, 1), choice=choice)


@sweep.part(7)
@pytest.mark.parametrize("name", CASES)
def test_resizes_equal_float64(host, name):
    check_all(host, CASES[name])


@settings(max_examples=sweep.examples(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    mode=st.sampled_from(list(MODES)),
    size=st.tuples(st.integers(1, 12), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 15), st.integers(1, 40)),
    corners=st.booleans(),
)
def test_random_resizes_equal_float64(host, mode, size, target, corners):
    check_all(host, resize(mode, size, target, align_corners=corners and mode in ("bilinear", "bicubic")))
