"""Squeeze-excites whose gates go into the weights of the 1x1 convolutions that read their products, run for real."""

import numpy as np
import pytest
import torch
from torch import nn

from codegen.layout.assign import assign_layout
from codegen.lowering.network import Options, lower_network
from codegen.schedules import candidates
from codegen.schedules.moving.gated_weights import NAME
from devices.profile import load_profile
from latency.profiling.space import network_workloads
from models.frontend.trace import trace
from models.graph.reference import run_graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph
from tests import sweep
from tests.host.network_check import TOLERANCE, check_network, run_network
from tests.small_network import Fn, SqueezeExcited


def excited(self, x):
    """The product, and its map."""
    x = torch.relu(self.gated.stem(x))
    return self.gated.excite(x), x


def plain(self, x):
    return self.gated(x)


def with_an_epilogue(self, x):
    y, x = excited(self, x)
    return torch.relu(self.gated.project(y) + self.other(x))


def of_a_join(self, x):
    """The map lies in the buffer of a join, beside what is joined with it."""
    y, x = excited(self, x)
    return self.gated.project(y), self.joined(torch.cat([x, torch.relu(self.other(x))], 1))


def two_gates(self, x):
    y, x = excited(self, x)
    return self.gated.project(y * self.other(x).amax((2, 3), keepdim=True).repeat(1, 2, 1, 1)[:, :29])


def read_twice(self, x):
    y, _ = excited(self, x)
    return self.gated.project(y), self.other(y)


def given_out(self, x):
    y, _ = excited(self, x)
    return self.gated.project(y), y


def read_by_windows(self, x):
    return self.window(excited(self, x)[0])


def strided(self, x):
    return self.strided(excited(self, x)[0])


FOLDED = {"plain": plain, "epilogue": with_an_epilogue, "of a join": of_a_join}
OTHERS = {
    "read twice": read_twice,
    "given out": given_out,
    "3x3": read_by_windows,
    "strided": strided,
    "two gates": two_gates,
}


def network(forward, filters: int = 19) -> nn.Module:
    torch.manual_seed(0)
    gated, other = SqueezeExcited(filters), nn.Conv2d(29, filters, 1)
    parts = {"window": nn.Conv2d(29, 8, 3, padding=1), "strided": nn.Conv2d(29, 8, 1, 2)}
    return Fn(forward, gated=gated, other=other, joined=nn.Conv2d(29 + filters, 3, 1), **parts).eval()


@sweep.part(3)
@pytest.mark.parametrize("size", [(11, 19), (9, 32)], ids=str)
@pytest.mark.parametrize("forward", FOLDED.values(), ids=FOLDED)
def test_gates_done_on_weights_are_right(host, tmp_path, forward, size):
    graph = check_network(host, network(forward), (3, *size), tmp_path)
    gates = assign_layout(graph, 16).gates
    assert [gate.reader for gate in gates.values()] == ["gated.project"]


@sweep.part(3)
@pytest.mark.parametrize("forward", OTHERS.values(), ids=OTHERS)
def test_products_that_others_read_stay_maps(host, tmp_path, forward):
    graph = check_network(host, network(forward), (3, 11, 19), tmp_path)
    assert not assign_layout(graph, 16).gates


@pytest.mark.parametrize("variant", ["columns:0.6:4x1", "block_punched:0.5:4x3", "columns:0.9:4x1"])
def test_gates_are_done_on_sparse_weights(host, tmp_path, variant):
    graph = trace(network(plain, 20), (3, 13, 18), "gated")
    plan = Plan.of("gated", graph.layers, {"gated.project": Sparsity.parse(variant)})
    pruned = prune_graph(graph, plan)
    pruned.weights["gated.project.weight"][4:8] = 0  # a group without columns
    x = np.random.default_rng(1).standard_normal((1, 3, 13, 18)).astype(np.float32)
    (result,) = run_network(host, pruned, x, tmp_path, Options(sparsity=plan.sparsities))
    (truth,) = run_graph(pruned, x.astype(np.float64))
    assert np.abs(result - truth).max() <= TOLERANCE * np.abs(truth).max()


def test_few_pixels_are_multiplied_as_a_map():
    """A map of fewer pixels than the reader has filters has fewer elements than there are weights."""
    for size, folds in (((3, 4), False), ((4, 5), True)):
        assert bool(assign_layout(trace(network(plain), (3, *size)), 16).gates) == folds


@pytest.mark.parametrize(
    ("profile", "dtype"), [("host", "float32"), ("mali-g76", "float16"), ("adreno-640", "float32")]
)
def test_product_keeps_its_place_and_a_kernel_of_its_own(profile, dtype):
    graph = trace(network(plain), (3, 11, 19), "gated")
    options = Options(dtype, weights_inside=False)
    lowered = lower_network([graph], load_profile(profile), options)
    codes = {code.layer: code for code in lowered.entries[0].layers}
    names = [layer.name for layer in graph.layers]
    assert [*codes] == ["input", *names, "output 0"]
    assert (codes["gated.mul"].schedule, codes["gated.mul"].out_shape) == (NAME, (29, 11, 19))
    workload = dict(network_workloads(graph, load_profile(profile), dtype))["gated.mul"]
    assert workload.layer.out_shape == (29, 1, 19)
    assert {name for name in lowered.parameters if name.startswith("gated.project")} == {
        "gated.project.weight",
        "gated.project.bias",
    }


def test_one_kernel_serves_sizes_with_weights_packed_once():
    graphs = [trace(network(plain), (3, *size), "gated") for size in ((11, 19), (20, 34))]
    lowered = lower_network(graphs, load_profile("host"), Options(weights_inside=False))
    assert [name for name in lowered.parameters if name.startswith(("gated.project.weight", "gated.mul"))] == [
        "gated.project.weight",
        "gated.mul.place",
    ]


def test_weights_in_images_are_left_for_a_buffer():
    """A gate is not multiplied into an image."""

    def choose(workload, profile):
        return next((choice for choice in candidates(workload, profile) if choice.schedule == "image"), None)

    graph = trace(network(plain, 16), (3, 11, 19), "gated")
    lowered = lower_network([graph], load_profile("adreno-640"), Options(choose=choose))
    schedules = {code.layer: code.schedule for code in lowered.entries[0].layers}
    assert schedules["gated.project"] == "pointwise"
