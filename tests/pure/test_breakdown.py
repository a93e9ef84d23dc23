"""The parts of an inference's wall time, from logs that are made up."""

import numpy as np
import pytest

from codegen.artifact.breakdown import combine
from codegen.artifact.loaded import KernelLog
from codegen.artifact.manifest import LayerCode


def code(layer: str) -> LayerCode:
    return LayerCode(layer, "conv", "direct", "", (layer,), 0, (1, 1, 1))


def test_combine_gives_each_layer_its_share_of_the_wall_time():
    part = combine((code("a"), code("b")), [0.010] * 3, [KernelLog((0.004, 0.003), 0.008)] * 3)
    assert [layer.secs for layer in part.layers()] == pytest.approx([0.004, 0.003])
    assert [layer.secs for layer in part.layers(0.020)] == pytest.approx([0.008, 0.006])
    assert (part.kernel_share, part.gap_share, part.outside_share) == pytest.approx((0.7, 0.1, 0.2))


def test_combine_does_not_see_a_machine_that_slows_down():
    """Rounds that take three times as long, kernels and all, change no share."""
    rng = np.random.default_rng(0)
    pace = rng.choice([1.0, 3.0], 20)
    logs = [KernelLog((0.004 * slow, 0.003 * slow), 0.008 * slow) for slow in pace]
    part = combine((code("a"), code("b")), list(0.010 * pace), logs)
    assert part.shares == pytest.approx([0.4, 0.3])
    assert part.gap_share == pytest.approx(0.1)


def test_layers_add_up_to_the_median_of_all_kernels():
    """Medians of single layers do not: each round another one is slow."""
    logs = [KernelLog(tuple(0.002 if layer == slow else 0.001 for layer in range(3)), 0.004) for slow in range(3)]
    part = combine(tuple(map(code, "abc")), [0.005] * 3, logs)
    assert part.kernel_share == pytest.approx(0.8)
    assert part.gap_share == pytest.approx(0.0)
