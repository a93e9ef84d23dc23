"""Every kernel on this machine's OpenCL, over RPC, against float64; borders of the output must be exactly zero."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.judging.layers import RightResult
from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from models.graph.layer import Layer, Step
from models.graph.reference import run_single
from models.plans.sparsity import Sparsity
from models.prune.masks.build import mask
from tests import sweep
from tests.host.kernel_cases import ACTIVATIONS, BINARY_CASES, CONVOLUTIONS, GATED, MOVES, POOLS, window

TOLERANCE = 1e-5
#: the constants of Winograd's transforms, up to 8 and of both signs, amplify what fp32 rounds off
WINOGRAD_TOLERANCE = 5e-5


#: of the largest summand: results below are held to the error that results of this size may have
CANCELLED = 1e-2


def check(
    session,
    layer: Layer,
    border: tuple[int, int] = (0, 0),
    seed: int | None = None,
    profile=None,
    choice: ScheduleChoice | None = None,
    sparsity: Sparsity | None = None,
) -> None:
    """Run `layer` by the default or the given choice on fresh random data, and compare it with float64."""
    profile = profile or session.profile
    seed = np.random.SeedSequence(seed).entropy
    inputs, weights = random_operands(layer, seed)
    if sparsity is not None:
        weights = replace(weights, weight=weights.weight * mask(weights.weight, sparsity))
    workload = standalone_planes(layer, profile.lanes, border, sparsity=sparsity)
    compiled = compile_layer(workload, weights, profile, choice=choice)
    flat = LoadedLayer(compiled, session).run(inputs)
    found, expected = workload.output.unpack(flat), run_single(layer, inputs, weights.weight, weights.bias)
    # A mean over all of a map nearly cancels: rounding is relative to what is summed then, not to what is left of it.
    summed = CANCELLED * max(np.abs(operand).max() for operand in inputs) if layer.op == "reduce" else 0.0
    error = np.abs(found - expected).max() / max(np.abs(expected).max(), summed, 1e-30)
    what = f"seed {seed}\n{layer}\nplane {workload.output}\n{compiled.kernel.schedule} {compiled.kernel.note}"
    tolerance = WINOGRAD_TOLERANCE if compiled.kernel.schedule.startswith("winograd") else TOLERANCE
    assert error <= tolerance, f"relative error {error}\n{what}"
    fault = RightResult(layer, "float32", inputs, weights).fault(found, compiled.kernel.choice)
    assert fault is None, f"{fault}\n{what}"
    if border != (0, 0):
        assert_borders_are_zero(workload.output, flat, what)


def assert_borders_are_zero(plane, flat: np.ndarray, what: str) -> None:
    """Everything a reader with this border may touch: border rows, both sides of every row, and before the first."""
    image = np.zeros(plane.size, bool)
    rows, columns = np.mgrid[: plane.height, : plane.width]
    touched = image.copy()
    padded_rows = np.arange(-plane.border[0], plane.height + plane.border[0])
    padded_columns = np.arange(-plane.border[1], plane.width + plane.border[1])
    for channel in range(plane.channels):
        image[plane.index(channel, rows, columns)] = True
        touched[plane.index(channel, padded_rows[:, None], padded_columns[None, :])] = True
    # the very last row's right border may be the next plane's lead, or slack, whose content no result depends on
    last = plane.index(np.arange(plane.channels), plane.height + plane.border[0] - 1, plane.pitch - 1)
    beyond = np.zeros(plane.size, bool)
    for end, start in zip(last, plane.stride * np.arange(1, plane.channels + 1), strict=True):
        beyond[end + 1 : start] = True
    border = flat[touched & ~image & ~beyond]
    assert (border == 0).all(), f"{(border != 0).sum()} of {border.size} border elements are not zero\n{what}"


@sweep.part(12)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_kernels_of_convolutions_equal_float64(host, name):
    check(host, CONVOLUTIONS[name], border=(2, 2))


@sweep.part(8)
@pytest.mark.parametrize("step", ACTIVATIONS, ids=str)
def test_kernels_of_activations_equal_float64(host, step):
    check(host, window("conv", (8, 9), (5, 19), epilogue=(step,)), border=(1, 1))


@sweep.part(7)
@pytest.mark.parametrize("name", BINARY_CASES)
def test_kernels_of_binary_steps_equal_float64(host, name):
    check(host, BINARY_CASES[name], border=(1, 1))


@pytest.mark.parametrize("name", GATED)
def test_kernels_that_read_broadcast_tensors_equal_float64(host, name):
    check(host, GATED[name], border=(1, 2))


@pytest.mark.parametrize("kind", ["log", "log2", "log10", "log1p", "floor", "ceil", "round", "trunc"])
def test_kernels_of_steps_after_a_positive_value_equal_float64(host, kind):
    steps = (Step("affine", (3.3, 0.0)),) if not kind.startswith("log") else (Step("sigmoid"),)
    check(host, window("conv", (3, 5), (5, 19), epilogue=(*steps, Step(kind))))


@pytest.mark.parametrize("name", POOLS)
def test_kernels_of_pools_equal_float64(host, name):
    check(host, POOLS[name], border=(1, 1))


@pytest.mark.parametrize("name", MOVES)
def test_kernels_that_move_equal_float64(host, name):
    check(host, MOVES[name], border=(1, 3))


@pytest.mark.parametrize("border", [(0, 0), (0, 3), (2, 0), (1, 17), (3, 1)])
def test_kernels_write_any_output_border(host, border):
    check(host, window("conv", (3, 5), (6, 30), (3, 3)), border)
    check(host, window("conv", (4, 4), (6, 30), (3, 3), groups=4), border)


PHONE_CASES = {
    **{
        name: CONVOLUTIONS[name]
        for name in ("1x1 odd channels", "3x3 stride 2", "3x3 groups 4", "depthwise 3x3", "add relu add")
    },
    **{name: GATED[name] for name in ("3x3", "depthwise", "outer product")},
    **{name: POOLS[name] for name in ("max 3x3 stride 2", "avg without padding")},
    **{name: MOVES[name] for name in ("concat", "add alone", "bilinear odd")},
}


@pytest.mark.parametrize("name", PHONE_CASES)
def test_kernels_shaped_for_a_phone_equal_float64(host, name):
    """Narrow vectors, few registers and real work-groups, whose last one hangs over the edge of the grid."""
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5)
    check(host, PHONE_CASES[name], border=(2, 2), profile=phone)


@settings(max_examples=sweep.examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_kernels_of_random_convolutions_equal_float64(host, data):
    def pair(name: str, low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)), name)

    groups = data.draw(st.sampled_from([1, 1, 1, 2, 3]), "groups")
    kernel, dilation, stride = pair("kernel", 1, 5), pair("dilation", 1, 3), pair("stride", 1, 3)
    padding, size = pair("padding", 0, 4), pair("size", 1, 50)
    fits = all(size[a] + 2 * padding[a] >= dilation[a] * (kernel[a] - 1) + 1 for a in (0, 1))
    if not fits:
        size = tuple(dilation[a] * (kernel[a] - 1) + 1 for a in (0, 1))
    channels = tuple(groups * count for count in pair("channels", 1, 30))
    check(host, window("conv", channels, size, kernel, stride, padding, dilation, groups), pair("border", 0, 2))
