"""Lowering and linking without a device: sharing of kernels, profiles of other devices, shared objects for arm64."""

import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from codegen.artifact.reading import read_manifest
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.layout.assign import assign_layout
from codegen.layout.plane import Plane
from codegen.linking.link import LinkError, link_command
from codegen.lowering.network import Options, lower_network
from codegen.schedules import candidates
from devices.profile import load_profile
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from tests.small_network import Small, register_small

HOST = load_profile("host")
#: what shapes a kernel for a phone: narrow vectors, few registers, real work-groups
PHONE = replace(HOST, name="phone", gpu="mali", lanes=4, accumulators=16, work_group=32, max_threads_per_block=384)


def small_graph(height: int, width: int):
    torch.manual_seed(0)
    return trace(Small().eval(), (3, height, width), "small")


@pytest.mark.parametrize("profile", [HOST, PHONE], ids=lambda profile: profile.name)
def test_every_layer_has_one_kernel_in_launch_order(profile):
    graph = small_graph(20, 34)
    entry = lower_network([graph], profile).entries[0]
    # a join whose members lie in its buffer needs no kernel
    computed = [layer.name for layer in graph.layers if layer.op != "concat"]
    assert [code.layer for code in entry.layers] == ["input", *computed, "output 0", "output 1"]
    assert entry.input.shape == (1, 3, 20, 34)
    assert [spec.shape for spec in entry.outputs] == [(1, 5, 10, 17), (1, 8, 5, 8)]


def test_kernels_are_shared_within_and_across_sizes():
    graph = small_graph(20, 34)
    kernels = {code.layer: code.kernels for code in lower_network([graph], HOST).entries[0].layers}
    assert kernels["one"] != kernels["two"], "only one of them has a residual"
    lowered = lower_network([small_graph(20, 34), small_graph(34, 20)], HOST, Options(weights_inside=False))
    assert [entry.name for entry in lowered.entries] == ["run_20x34", "run_34x20"]
    assert sum(name.startswith("one.weight") for name in lowered.parameters) == 1


def test_the_same_size_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        lower_network([small_graph(20, 34), small_graph(20, 34)], HOST)


def test_concat_members_lie_in_planes_of_one_kind():
    graph = small_graph(20, 34)
    planes = assign_layout(graph, 16).planes
    joined = next(layer for layer in graph.layers if layer.op == "concat")
    assert planes[joined.name].border == (2, 2)
    assert {planes[name].border for name in joined.inputs} == {(2, 2)}


class Joins(torch.nn.Module):
    """A join of a join, and a tensor in two joins, with readers of different borders."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(3, 4, 1)
        self.wide, self.last = torch.nn.Conv2d(4, 4, 5, padding=2), torch.nn.Conv2d(24, 3, 1)

    def forward(self, x):
        a, b = torch.relu(self.a(x)), torch.relu(self.b(x))
        inner = torch.cat([a, b], 1)
        return self.last(torch.cat([torch.cat([inner, torch.relu(self.wide(a))], 1), b, self.wide(b), a], 1))


def test_joins_of_joins_share_one_geometry():
    graph = trace(Joins().eval(), (3, 9, 20), "joins")
    planes = assign_layout(graph, 16).planes
    for layer in graph.layers:
        if layer.op == "concat":
            assert {planes[name].border for name in (layer.name, *layer.inputs)} == {(2, 2)}


class Chain(torch.nn.Module):
    """Two joins with a member in common; only the first one, which is made first, has a reader beyond its edges."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (torch.nn.Conv2d(3, 4, 1) for _ in range(3))
        self.wide, self.last = torch.nn.Conv2d(8, 4, 5, padding=2), torch.nn.Conv2d(8, 3, 1)

    def forward(self, x):
        a, b, c = torch.relu(self.a(x)), torch.relu(self.b(x)), torch.relu(self.c(x))
        first, second = torch.cat([a, b], 1), torch.cat([b, c], 1)
        return self.wide(first), self.last(second)


def test_joins_with_a_common_member_share_one_geometry():
    graph = trace(Chain().eval(), (3, 9, 20), "chain")
    planes = assign_layout(graph, 16).planes
    joins = [layer for layer in graph.layers if layer.op == "concat"]
    assert len(joins) == 2
    assert {planes[name].border for join in joins for name in (join.name, *join.inputs)} == {(2, 2)}


def test_weights_of_further_sizes_are_packed_as_at_the_first():
    """Even where another choice, which packs them otherwise, would be made there."""
    network = torch.nn.Conv2d(3, 40, 3, padding=1).eval()
    graphs = [trace(network, (3, *size), "one") for size in ((20, 34), (24, 50))]

    def choose(workload, profile):
        choices = [choice for choice in candidates(workload, profile) if choice.schedule == "direct"]
        first = workload.inputs[0].width == 34
        return (choices[0] if first else max(choices, key=lambda choice: choice.packing)) if choices else None

    def pack(*some) -> dict[str, bytes]:
        parameters = lower_network(some, HOST, Options(choose=choose, weights_inside=False)).parameters
        return {name: array.tobytes() for name, array in parameters.items()}

    first, second = graphs
    assert pack(first) != pack(second)
    assert pack(first, second) == pack(first)


def test_members_of_a_join_lie_in_its_buffer():
    graph = trace(Joins().eval(), (3, 9, 20), "joins")
    layout = assign_layout(graph, 16)
    inner, middle, outer = [layer for layer in graph.layers if layer.op == "concat"]
    assert layout.buffers[inner.name] == layout.buffers[middle.name] == outer.name
    assert [layout.planes[name].first for name in middle.inputs] == [0, 8]
    wanted = [(plane.first, plane.shared) for plane in (layout.planes[name] for name in outer.inputs)]
    # its second operand lies in it already on account of the inner join or the other way round: one of two copies
    assert wanted[0] == (0, 24)
    copied = {name: len(positions) for name, positions in layout.copied.items()}
    assert sum(copied.values()) == 2, "b and a are joined twice"
    kernels = [code for code in lower_network([graph], HOST).entries[0].layers if code.op == "concat"]
    assert len(kernels) == 2


@pytest.mark.parametrize("border", [(0, 0), (1, 1), (3, 0), (0, 2), (2, 20)])
def test_plane_unpacks_what_it_packs(border):
    plane = Plane(5, 7, 33, border)
    tensor = np.random.default_rng().standard_normal(plane.shape).astype(np.float32)
    flat = plane.pack(tensor)
    np.testing.assert_array_equal(plane.unpack(flat), tensor)
    assert flat[plane.index(4, 6, 32)] == tensor[4, 6, 32]
    for row, column in [(-border[0], -border[1]), (6 + border[0], 32), (6, 32 + border[1])]:
        inside = (0 <= row < 7) and (0 <= column < 33)
        assert inside or flat[plane.index(2, row, column)] == 0
    assert plane.stride * 4 % 1024 != 0
    with pytest.raises(ValueError, match="expected"):
        plane.pack(tensor[:, :, 1:])


@pytest.mark.parametrize("host", ["linux-arm64", "android-arm64"])
def test_a_shared_object_for_a_phone_needs_no_phone(tmp_path, host):
    path = tmp_path / "pose.so"
    build(trace_network(register_small(), sizes=[(32, 32)]), BuildTarget(PHONE, {}, host)).write(path)
    header = path.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    kind, machine = struct.unpack("<HH", header[16:20])
    assert (kind, machine) == (3, 183), "a shared object for AArch64"
    manifest = read_manifest(path)
    assert (manifest.host, manifest.profile, manifest.sizes) == (host, "phone", ((32, 32),))


def test_cc_links_for_this_machine_only(monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="use --linker lld"):
        link_command(["a.o"], "a.so", "android-arm64", "cc")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LinkError, match="use --linker lld, which needs none"):
        link_command(["a.o"], "a.so", "native", "cc")
