"""What there is to time of networks, and the layers around them. Layouts and samples only: nothing is compiled."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from devices.profile import load_profile
from fleetpose.errors import UsageError
from latency.profiling.around import sample_around, sampled_layer
from latency.profiling.space import (
    RUN_VARIANTS,
    decided_sparsities,
    default_sparsities,
    network_groups,
    network_workloads,
    runs,
    variants_of,
)
from models.graph.layer import Layer, Step
from models.graph.network import Graph
from models.plans.sparsity import parse_variant

PROFILE = load_profile("host")
COLUMNS, PATTERN = parse_variant("columns:0.75:8x1"), parse_variant("pattern:0.75")


def conv(name: str, source: str, channels: int, filters: int, side: int = 3) -> Layer:
    return Layer(
        name, "conv", (source,), ((channels, 20, 24),), (filters, 20, 24), (side, side),
        padding=(side // 2, side // 2), bias=True, epilogue=(Step("relu"),),
    )  # fmt: skip


def graph(name: str = "net", last: int = 16) -> Graph:
    """Two equal convolutions after a stem, and a pointwise one that differs from graph to graph."""
    layers = (conv("a", "x", 3, 32), conv("b", "a", 32, 32), conv("c", "b", 32, 32), conv("d", "c", 32, last, 1))
    return Graph(name, "x", (3, 20, 24), ("d",), layers, {})


def test_equal_layers_are_one_group_with_all_their_networks():
    groups = network_groups([graph("one"), graph("two", 24)], PROFILE, [COLUMNS])
    shared = [each for each in groups if each.networks == ("one", "two")]
    assert {each.workload.layer.in_shapes[0][0] for each in shared} == {3, 32}
    assert [each.networks for each in groups if each.workload.layer.kernel == (1, 1)] in (
        [("one",), ("two",)], [("two",), ("one",)],
    )  # fmt: skip
    assert all(first.share >= second.share for first, second in pairwise(groups))
    assert len({each.key for each in groups}) == len(groups)
    ids = {each.identity(variant, {"name": "a"}) for each in groups for variant in each.sparsities}
    assert len(ids) == sum(len(each.sparsities) for each in groups)


def test_space_holds_every_launched_kernel():
    assert [name for name, _ in network_workloads(graph(), PROFILE)] == ["a", "b", "c", "d"]


def test_space_holds_only_the_layers_asked_for():
    (only,) = network_groups([graph()], PROFILE, [COLUMNS], layers=["d"])
    assert only.workload.layer.kernel == (1, 1)
    with pytest.raises(UsageError, match="unknown layer 'e'"):
        network_groups([graph()], PROFILE, layers=["e"])


def test_a_layer_gets_the_variants_it_can_have():
    assert variants_of(conv("a", "x", 32, 32), [None, COLUMNS, PATTERN, COLUMNS], PROFILE) == (None, COLUMNS, PATTERN)
    assert variants_of(conv("a", "x", 32, 32, 1), [COLUMNS, PATTERN], PROFILE) == (None, COLUMNS)
    own = variants_of(conv("a", "x", 32, 32), (), PROFILE)
    assert own[0] is None
    assert len(own) == len(set(default_sparsities(conv("a", "x", 32, 32), PROFILE))) + 1
    assert len({(each.pattern, each.block) for each in own[1:5]}) == 4, "the first ones differ in what they remove"
    phone = variants_of(conv("a", "x", 32, 32), (), load_profile("mali-g76"))
    assert "block_punched" in {each.pattern for each in phone if each}


def test_grouped_layers_have_variants_of_blocks_that_divide_their_groups():
    grouped = replace(conv("a", "x", 48, 48), groups=8)  # 6 filters each
    own = variants_of(grouped, (), PROFILE)
    assert {each.block[0] for each in own if each} == {2, 3, 6}
    assert all(variant in own for variant in default_sparsities(grouped, PROFILE))
    assert variants_of(replace(grouped, groups=48), (), PROFILE) == (None,)


def test_samples_around_grouped_layers_keep_their_groups():
    group = network_groups([graph()], PROFILE)[0]
    grouped = replace(conv("a", "x", 48, 48), groups=8)
    sampled = sample_around([replace(group, workload=replace(group.workload, layer=grouped))], 30, PROFILE)
    layers = [each.workload.layer for each in sampled]
    kinds = {each.groups if each.groups == 8 else each.groups == each.in_shapes[0][0] for each in layers}
    assert 8 in kinds
    assert all(each.in_shapes[0][0] % each.groups == each.out_shape[0] % each.groups == 0 for each in layers)
    assert any(len(each.sparsities) > 1 for each in sampled)


@pytest.mark.parametrize(("name", "filters"), [("host", 12), ("host-avx2", 6), ("mali-g76", 8), ("adreno-640", 8)])
def test_blocks_are_what_the_registers_hold(name, filters):
    profile = load_profile(name)
    own = default_sparsities(conv("a", "x", 32, 32, 1), profile)
    finer = {2} if profile.gpu == "cpu" else set()
    assert {each.block[0] for each in own if each.pattern == "columns"} == {filters, 4} | finer


def test_a_decision_has_finer_zeros_than_are_timed():
    layer = conv("a", "x", 32, 32)
    timed, decided = default_sparsities(layer, PROFILE), decided_sparsities(layer, PROFILE)
    assert {(each.pattern, each.block) for each in decided} == {(each.pattern, each.block) for each in timed}
    assert {each.zeros for each in timed} < {each.zeros for each in decided}
    assert min(each.zeros for each in decided) < min(each.zeros for each in timed)


def test_runs_see_every_layer_before_any_second_part():
    groups = network_groups([graph()], PROFILE)
    parts = runs(groups)
    assert [each.key for each in parts[: len(groups)]] == [each.key for each in groups]
    assert all(part.sparsities[0] is None and len(part.sparsities) <= RUN_VARIANTS + 1 for part in parts)
    for group in groups:
        own = [each for part in parts if part.key == group.key for each in part.sparsities[1:]]
        assert own == list(group.sparsities[1:])


def test_a_sample_is_the_same_again_and_begins_a_longer_one():
    groups = network_groups([graph()], PROFILE)
    longer = sample_around(groups, 40, PROFILE, seed=3)
    assert sample_around(groups, 15, PROFILE, seed=3) == longer[:15]
    assert sample_around(groups, 15, PROFILE, seed=4) != longer[:15]
    assert len({each.key for each in [*groups, *longer]}) == len(groups) + 40


def test_a_sample_spreads_and_stays_in_bounds():
    groups = network_groups([graph()], PROFILE)
    sampled = sample_around(groups, 150, PROFILE)
    layers = [each.workload.layer for each in sampled]
    assert max(each.macs for each in layers) <= max(each.workload.layer.macs for each in groups)
    assert {each.kernel[0] for each in layers} == {1, 3, 5, 7}
    assert {each.stride[0] for each in layers} == {1, 2} == {each.dilation[0] for each in layers}
    assert any(each.groups > 1 for each in layers)
    patterns = {variant.pattern for each in sampled for variant in each.sparsities if variant}
    assert patterns == {"columns", "block_punched", "connectivity", "pattern"}
    zeros = [variant.zeros for each in sampled for variant in each.sparsities if variant]
    assert min(zeros) < 0.4
    assert max(zeros) > 0.9
    for each in sampled:
        assert each.sparsities[0] is None
        assert each.networks == ()
        assert each.workload.layer.name == ""


def test_sample_around_a_network_without_convolutions_is_empty():
    pool = Layer("p", "max_pool", ("x",), ((8, 10, 10),), (8, 5, 5), (2, 2), (2, 2))
    group = replace(network_groups([graph()], PROFILE)[0])
    assert sample_around([replace(group, workload=replace(group.workload, layer=pool))], 5, PROFILE) == []


def test_a_point_in_the_middle_is_the_layer_itself():
    base = conv("a", "x", 32, 32)
    layer = sampled_layer([base], np.full(11, 0.5))
    assert (layer.in_shapes, layer.out_shape, layer.kernel) == (base.in_shapes, base.out_shape, base.kernel)
