"""Pools of every kind on this machine's OpenCL, over RPC, against float64."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from codegen.lowering.layer import standalone_planes
from codegen.schedules import candidates
from models.graph.layer import Layer, Step
from models.graph.pooling import ADAPTIVE, largest_window
from tests import sweep
from tests.host.test_kernels import check


def ceil_extent(extent: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """torch's extent of an output where ceil_mode is on: the last window begins inside the input or its padding."""
    outputs = -(-(extent + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1
    return outputs - 1 if (outputs - 1) * stride >= extent + padding else outputs


def pool(op: str, size, kernel, stride, padding=(0, 0), dilation=(1, 1), **others) -> Layer:
    """A pool in ceil_mode."""
    extents = (ceil_extent(size[a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    return Layer("layer", op, ("x",), ((5, *size),), (5, *extents), kernel, stride, padding, dilation, **others)


def adaptive(op: str, size: tuple[int, int], target: tuple[int, int]) -> Layer:
    kernel = tuple(largest_window(before, after) for before, after in zip(size, target, strict=True))
    epilogue = (Step("relu"),) if op == "avg_pool" else ()
    return Layer("layer", op, ("x",), ((7, *size),), (7, *target), kernel, mode=ADAPTIVE, epilogue=epilogue)


CASES = {
    "max 3x3 stride 2, cut short": pool("max_pool", (12, 21), (3, 3), (2, 2)),
    "max 2x2 stride 2, cut short": pool("max_pool", (7, 33), (2, 2), (2, 2)),
    "max 3x3 dilated, cut short": pool("max_pool", (12, 20), (3, 3), (2, 3), (1, 1), (2, 2)),
    "avg 3x3 stride 2, cut short": pool("avg_pool", (12, 20), (3, 3), (2, 2), (1, 1)),
    "avg 3x3 stride 2, cut short, elements alone": pool(
        "avg_pool", (12, 20), (3, 3), (2, 2), (1, 1), count_include_pad=False
    ),
    "avg 2x2 by 3": pool("avg_pool", (8, 17), (2, 2), (2, 2), divisor=3),
    "avg 8x9 stride 7": pool("avg_pool", (23, 40), (8, 9), (7, 7), (3, 4)),
    "max 13x13 stride 1": pool("max_pool", (13, 20), (13, 13), (1, 1), (6, 6)),
    "avg of all": pool("avg_pool", (46, 57), (46, 57), (46, 57)),
    "max of all": pool("max_pool", (31, 50), (31, 50), (31, 50)),
    "avg of columns": pool("avg_pool", (31, 50), (31, 1), (31, 1)),
    "adaptive avg 12x10 to 5x7": adaptive("avg_pool", (12, 10), (5, 7)),
    "adaptive max 46x40 to 6x6": adaptive("max_pool", (46, 40), (6, 6)),
    "adaptive avg up": adaptive("avg_pool", (5, 6), (7, 20)),
}


@pytest.mark.parametrize("name", CASES)
def test_pools_equal_float64(host, name):
    layer = CASES[name]
    workload = standalone_planes(layer, host.profile.lanes, (1, 1))
    rules = {choice.schedule: choice for choice in candidates(workload, host.profile)}
    for choice in rules.values():
        check(host, layer, border=(1, 1), choice=choice)


@settings(max_examples=sweep.examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_pools_equal_float64(host, data):
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    op, size = data.draw(st.sampled_from(["max_pool", "avg_pool"])), pair(1, 40)
    if data.draw(st.booleans(), "adaptive"):
        check(host, adaptive(op, size, pair(1, 9)), border=(1, 1))
        return
    kernel, stride = pair(1, 9), pair(1, 4)
    padding = tuple(data.draw(st.integers(0, extent // 2)) for extent in kernel)
    assume(all(size[a] + 2 * padding[a] >= kernel[a] for a in (0, 1)))
    others = {"divisor": data.draw(st.integers(0, 3)), "count_include_pad": data.draw(st.booleans())}
    layer = pool(op, size, kernel, stride, padding, **(others if op == "avg_pool" else {}))
    check(host, layer, border=pair(0, 2))


def test_largest_adaptive_window_is_torchs():
    starts = [np.floor(i * 10 / 7) for i in range(7)]
    assert largest_window(10, 7) == max(np.ceil((i + 1) * 10 / 7) - start for i, start in enumerate(starts))
