"""Networks with branches, by kernels for phones on this machine's OpenCL: layers launched together compute the same."""

import importlib.metadata
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import tvm
from torch import nn

from codegen.artifact.breakdown import break_down
from codegen.artifact.loaded import Artifact
from codegen.artifact.manifest import DISTRIBUTIONS, Manifest, manifest_path
from codegen.artifact.seal import seal
from codegen.linking.elf import check_artifact
from codegen.linking.link import export_shared
from codegen.lowering.compile import compile_network
from codegen.lowering.network import Options, lower_network
from codegen.lowering.target import make_target
from fleetpose.codec import encode
from models.frontend.trace import trace
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph
from tests.host.network_check import run_network
from tests.host.test_image import ADRENOS, image_where_it_answers
from tests.small_network import Fn
from tests.zoo.checking import as_module_returns, exact_outputs, largest_error

TOLERANCE = 1e-4


def phone(host):
    """What shapes a kernel for a phone: narrow vectors, few registers, work-groups that nothing here divides."""
    return replace(host.profile, gpu="mali", lanes=4, accumulators=8, work_group=24, thread_warp_size=8)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)


def two_branches(s, x):
    """As the head of a pose network: branches of one shape, whose results one join takes with what they read."""
    x = torch.relu(s.stem(x))
    heatmaps, fields = ((torch.relu(first(x)), last) for first, last in ((s.a, s.heatmaps), (s.b, s.fields)))
    first, second = (last(branch) for branch, last in (heatmaps, fields))
    joined = torch.cat([x, first, second], 1)
    return s.c(joined), s.d(joined), first


def unequal_branches(s, x):
    """As an inception: branches of other lengths and kernels, all members of one join that begins with them."""
    x = torch.relu(s.stem(x))
    return torch.cat([s.one(x), torch.relu(s.a(s.two(x))), s.a(x), s.two(x), F.max_pool2d(x, 3, 1, 1)], 1)


def scales(s, x):
    """As HRNet: two resolutions beside each other, which meet."""
    high = torch.relu(s.stem(x))
    low = torch.relu(s.halve(high))
    high, low = torch.relu(s.a(high)) + high, torch.relu(s.b(low)) + low
    return high + F.interpolate(s.one(low), size=high.shape[2:]), low + s.halve(high)


def slices(s, x):
    """Halves that go their own ways, by depthwise convolutions and pools."""
    left, right = torch.relu(s.stem(x)).chunk(2, 1)
    left, right = s.deep(left), s.deeper(right)
    return F.avg_pool2d(left, 2), F.avg_pool2d(right, 2), left * right


def crossing(s, x):
    """Branches that read each other's results, so that only some of their layers may run together."""
    x = torch.relu(s.stem(x))
    first = s.a(x)
    second = s.b(first)
    return s.a(second) + s.b(x), s.b(s.a(x) + second)


NETWORKS = (two_branches, unequal_branches, scales, slices, crossing)


def make_network(forward) -> Fn:
    torch.manual_seed(0)
    parts = {"stem": conv(3, 12, stride=2), "a": conv(12, 12), "b": conv(12, 12), "halve": conv(12, 12, stride=2)}
    parts |= {"heatmaps": conv(12, 5, 1), "fields": conv(12, 10, 1), "c": conv(27, 7), "d": conv(27, 7)}
    parts |= {"one": conv(12, 12, 1), "two": conv(12, 12, 1)}
    return Fn(forward, **parts, deep=conv(6, 6, 5, groups=6), deeper=conv(6, 6, 5, groups=6)).eval()


def picture(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((1, *shape)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("forward", NETWORKS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("size", [(19, 34), (24, 16)], ids=str)
def test_shared_launches_change_no_bit(host, tmp_path, forward, size):
    module, shape = make_network(forward), (3, *size)
    graph, x = trace(module, shape, "branches"), picture(shape)
    together, apart = Options(), Options(share_launches=False)
    launches = [lower_network([graph], phone(host), options).entries[0].launches for options in (together, apart)]
    assert launches[0] < launches[1]
    outputs = run_network(host, graph, x, tmp_path, together, phone(host))
    for ours, theirs in zip(outputs, run_network(host, graph, x, tmp_path, apart, phone(host)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert largest_error(as_module_returns(graph, outputs), exact_outputs(module, x)) <= TOLERANCE


@pytest.mark.slow
def test_sparse_branches_keep_lists_of_their_own(host, tmp_path):
    module, shape = make_network(two_branches), (3, 20, 34)
    columns = Sparsity.parse("columns:0.5:4x1")
    graph = trace(module, shape, "branches")
    sparse = dict.fromkeys(("a", "b", "c", "d"), columns)
    pruned = prune_graph(graph, Plan.of("branches", graph.layers, sparse))
    options = Options(sparsity=sparse)
    entry = lower_network([pruned], phone(host), options).entries[0]
    assert [code.layer for code in entry.layers if code.with_previous and code.schedule == "columns"] == ["b", "d"]
    x = picture(shape)
    outputs = run_network(host, pruned, x, tmp_path, options, phone(host))
    apart = run_network(host, pruned, x, tmp_path, replace(options, share_launches=False), phone(host))
    for ours, theirs in zip(outputs, apart, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_layers_of_a_shared_launch_have_times_of_their_own(host, tmp_path):
    graph, path = trace(make_network(two_branches), (3, 20, 34), "branches"), tmp_path / "branches.so"
    lowered = lower_network([graph], phone(host))
    export_shared(tvm.compile(lowered.module, make_target(phone(host))), path)
    versions = {name: importlib.metadata.version(name) for name in DISTRIBUTIONS}
    manifest = Manifest(
        "branches", "", tuple(lowered.entries), weights={"seed": 0}, profile="phone", gpu="cpu", versions=versions,
        elf=encode(check_artifact(path)),
    )  # fmt: skip
    seal(path, manifest).write(manifest_path(path))
    (part,) = break_down({"": Artifact(path, host)}, picture((3, 20, 34)), rounds=2).values()
    secs = {layer.code.layer: layer.secs for layer in part.layers()}
    assert {"a", "b", "heatmaps", "fields", "output 0", "output 1"} <= secs.keys()
    assert secs["fields"] == pytest.approx(2 * secs["heatmaps"])
    assert sum(secs.values()) == pytest.approx(part.kernel_share * part.wall_secs)


@pytest.mark.slow
def test_layers_of_a_shared_launch_may_read_images(host):
    graph, x = trace(make_network(two_branches), (3, 20, 34), "branches"), picture((3, 20, 34))
    options = Options(choose=image_where_it_answers)
    together, apart = (
        compile_network([graph], ADRENOS[0], replace(options, share_launches=share)) for share in (True, False)
    )
    codes = together.lowered.entries[0].layers
    assert {code.layer for code in codes if code.with_previous and code.schedule == "image"} == {"b", "fields", "d"}
    for ours, theirs in zip(together.answers(host, [x])[0], apart.answers(host, [x])[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
