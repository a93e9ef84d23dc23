"""Reductions on this machine's OpenCL against float64: every way to cut them that a profile knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Weights
from codegen.lowering.layer import LoadedLayer, compile_layer, standalone_planes
from codegen.schedules.reductions.cells import ReductionTile
from codegen.schedules.reductions.reduce import REDUCE
from tests import sweep
from tests.host.network_check import check_network
from tests.host.reduction_cases import NORMS, SOFTMAXES, SUMS, reduced
from tests.host.test_kernels import check
from tests.small_network import Fn

CASES = {**NORMS, **SOFTMAXES, **SUMS}


@sweep.part(12)
@pytest.mark.parametrize("name", CASES)
def test_reductions_equal_float64(host, name):
    check(host, CASES[name], border=(1, 2))


@sweep.part(5)
@pytest.mark.parametrize("tile", [ReductionTile(1, 2, 2), ReductionTile(1, 5, 3), ReductionTile(1, 1, 1)], ids=str)
@pytest.mark.parametrize(
    "name", ["variance CHW", "group norm, add", "softmax HW", "log softmax", "max C", "variance H"]
)
def test_reductions_in_parts_equal_float64(host, name, tile):
    """Parts of one plane or row, and the last one of fewer."""
    check(host, CASES[name], border=(1, 2), choice=ScheduleChoice(REDUCE.name, tile))


@pytest.mark.parametrize("name", ["variance C", "layer norm of a map", "softmax of keys", "mean CHW", "softmax W"])
def test_reductions_shaped_for_a_phone_equal_float64(host, name):
    phone = replace(host.profile, gpu="mali", lanes=4, accumulators=16, work_group=5)
    check(host, CASES[name], border=(2, 2), profile=phone)


def test_variance_of_far_values_keeps_its_digits(host):
    """A mean a thousand times the deviation: E[x^2] - E[x]^2 would have no digit left."""
    layer = reduced("normalise", "variance", "CHW", (4, 8, 40), eps=1e-5)
    x = (np.random.default_rng(0).standard_normal(layer.in_shapes[0]) + 1000).astype(np.float32)
    workload = standalone_planes(layer, host.profile.lanes)
    for tile in REDUCE.space(workload, host.profile):
        compiled = compile_layer(workload, Weights(), host.profile, choice=ScheduleChoice(REDUCE.name, tile))
        result = workload.output.unpack(LoadedLayer(compiled, host).run([x]))
        expected = (x - x.mean(dtype=np.float64)) / np.sqrt(x.var(dtype=np.float64) + 1e-5)
        assert np.abs(result - expected).max() < 2e-4, tile


def test_softmax_neither_overflows_nor_minds_masks(host):
    """Large values, and minus infinity where a mask is."""
    layer = reduced("softmax", "softmax", "C", (9, 1, 20))
    x = (np.random.default_rng(0).standard_normal(layer.in_shapes[0]) * 200).astype(np.float32)
    x[::2, :, ::3] = -np.inf
    workload = standalone_planes(layer, host.profile.lanes)
    compiled = compile_layer(workload, Weights(), host.profile)
    result = workload.output.unpack(LoadedLayer(compiled, host).run([x]))
    expected = np.exp(x.astype(np.float64) - x.max(axis=0))
    assert np.abs(result - expected / expected.sum(axis=0)).max() < 1e-5


def normed(self, x):
    """Norms between convolutions, so that their planes have borders, and activations after them."""
    a = torch.relu(self.group(self.a(x)))
    b = torch.sigmoid(self.instance(self.b(a)) + a)
    return self.b(b).softmax(1), F.layer_norm(b, b.shape[1:]), b.mean(1, keepdim=True)


@pytest.mark.parametrize("size", [(9, 20), (16, 31)], ids=str)
def test_networks_with_norms_equal_pytorch(host, tmp_path, size):
    torch.manual_seed(0)
    parts = {"a": nn.Conv2d(3, 6, 3, padding=1), "b": nn.Conv2d(6, 6, 3, padding=1)}
    module = Fn(normed, **parts, group=nn.GroupNorm(2, 6), instance=nn.InstanceNorm2d(6)).eval()
    check_network(host, module, (3, *size), tmp_path)
