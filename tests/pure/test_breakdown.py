"""The parts of an inference's wall time, from logs that are made up."""

from dataclasses import replace

import numpy as np
import pytest

from codegen.artifact.breakdown import combine
from codegen.artifact.kernel_log import KernelLog, read_log
from codegen.artifact.manifest import LayerCode
from fleetpose.errors import FleetposeError


def code(layer: str) -> LayerCode:
    return LayerCode(layer, "conv", "direct", "", (layer,), 0, (1, 1, 1))


def test_combine_gives_each_layer_its_share_of_the_wall_time():
    part = combine((code("a"), code("b")), [KernelLog((0.004, 0.003), 0.008, 0.010)] * 3)
    assert [layer.secs for layer in part.layers()] == pytest.approx([0.004, 0.003])
    assert [layer.secs for layer in part.layers(0.020)] == pytest.approx([0.008, 0.006])
    assert (part.kernel_share, part.gap_share, part.outside_share) == pytest.approx((0.7, 0.1, 0.2))


def test_combine_does_not_see_a_machine_that_slows_down():
    """Rounds that take three times as long, kernels and all, change no share."""
    rng = np.random.default_rng(0)
    pace = rng.choice([1.0, 3.0], 20)
    logs = [KernelLog((0.004 * slow, 0.003 * slow), 0.008 * slow, 0.010 * slow) for slow in pace]
    part = combine((code("a"), code("b")), logs)
    assert part.shares == pytest.approx([0.4, 0.3])
    assert part.gap_share == pytest.approx(0.1)


def test_layers_add_up_to_the_median_of_all_kernels():
    """Medians of single layers do not: each round another one is slow."""
    rounds = [tuple(0.002 if layer == slow else 0.001 for layer in range(3)) for slow in range(3)]
    logs = [KernelLog(secs, 0.004, 0.005) for secs in rounds]
    part = combine(tuple(map(code, "abc")), logs)
    assert part.kernel_share == pytest.approx(0.8)
    assert part.gap_share == pytest.approx(0.0)


def launch(kernel: str, start: float, end: float) -> dict:
    return {"kernel": kernel, "start_secs": start, "end_secs": end}


def test_the_log_is_that_of_the_last_inference():
    """The timer runs inferences before the one that it times."""
    warm = [launch("a", 0.0, 9.0), launch("b", 9.0, 19.0)]
    log = read_log((code("a"), code("b")), [*warm, launch("a", 20.0, 21.0), launch("b", 21.5, 23.5)], 4.0)
    assert log == KernelLog((1.0, 2.0), 3.5, 4.0)


@pytest.mark.parametrize("launched", [[], ["b"], ["a", "b", "a"], ["a", "c"]])
def test_a_log_of_other_kernels_is_refused(launched):
    with pytest.raises(FleetposeError, match="the manifest lists 2"):
        read_log((code("a"), code("b")), [launch(kernel, 0.0, 1.0) for kernel in launched], 1.0)


def test_a_shared_launch_is_divided_by_multiply_adds():
    first, second = replace(code("a"), kernels=("k",), macs=300), replace(code("b"), kernels=("k",), macs=200)
    second = replace(second, variant="columns:0.5:4x1", with_previous=True)
    log = read_log((code("x"), first, second), [launch("x", 0.0, 1.0), launch("k", 1.0, 5.0)], 6.0)
    assert log.layer_secs == pytest.approx((1.0, 3.0, 1.0))
