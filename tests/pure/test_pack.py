"""Packed weights come back exactly, whatever their zeros; what is stored is what was promised."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.kernels.pack import ORDERS, departure, pack_columns, pack_patterns
from fleetpose.errors import UsageError
from models.plans.sparsity import Sparsity
from models.prune.masks.build import mask


def random_weight(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def sparse_weights(draw, kernel=None):
    """Any zeros at all, among them none, all, whole filters and whole channels."""
    kernel = kernel or draw(st.sampled_from([(1, 1), (3, 3), (3, 1), (5, 5)]))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 24)), *kernel)
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    kept = generator.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.3, 0.7, 1.0]))
    kept &= generator.random((shape[0], 1, 1, 1)) < draw(st.sampled_from([0.3, 1.0]))
    kept &= generator.random((1, shape[1], 1, 1)) < draw(st.sampled_from([0.3, 1.0]))
    return generator.standard_normal(shape).astype(np.float32) * kept


@settings(deadline=None, max_examples=150)
@given(sparse_weights(), st.sampled_from([1, 4, 5, 8, 16, 64]), st.sampled_from(ORDERS), st.booleans())
def test_packed_columns_unpack_to_the_weights(weight, filters, order, longest_first):
    packed = pack_columns(weight, filters, order, longest_first)
    assert np.array_equal(packed.unpack(), weight)
    assert sorted(packed.groups.tolist()) == list(range(-(-len(weight) // filters)))
    assert packed.starts[0] == 0
    assert packed.starts[-1] == len(packed.channel) == len(packed.position) == len(packed.weight)
    assert (packed.weight != 0).any(axis=1).all(), "a column of zeros is stored"
    assert {packed.groups.dtype, packed.starts.dtype, packed.channel.dtype, packed.position.dtype} == {
        np.dtype("int32")
    }
    for first, end in zip(packed.starts, packed.starts[1:], strict=False):
        channel, position = packed.channel[first:end].tolist(), packed.position[first:end].tolist()
        keys = list(zip(*((channel, position) if order == "channel" else (position, channel)), strict=True))
        assert keys == sorted(set(keys))
    lengths = packed.lengths.tolist()
    assert not longest_first or lengths == sorted(lengths, reverse=True)


@settings(deadline=None, max_examples=150)
@given(sparse_weights(kernel=(3, 3)), st.booleans())
def test_packed_patterns_unpack_to_the_weights(weight, longest_first):
    packed = pack_patterns(weight, longest_first)
    assert np.array_equal(packed.unpack(), weight)
    assert sorted(packed.order.tolist()) == list(range(len(weight)))
    assert packed.starts[0] == 0
    assert packed.starts[-1] == len(packed.channel) == len(packed.weight)
    assert len(packed.starts) == len(weight) * len(packed.taps) + 1
    assert (np.diff(packed.taps, axis=1) > 0).all()
    for first, end in zip(packed.starts, packed.starts[1:], strict=False):
        assert (np.diff(packed.channel[first:end]) > 0).all()
    kernels = packed.lengths.sum(axis=1).tolist()
    assert not longest_first or kernels == sorted(kernels, reverse=True)


@pytest.mark.parametrize("shape", [(19, 38, 3, 3), (145, 185, 3, 3), (57, 88, 1, 1)])
@pytest.mark.parametrize("text", ["block_punched:0.75:8x4", "columns:0.75:8x1", "connectivity:0.75:8x4"])
def test_a_balanced_sparsity_stores_what_it_promises(text, shape):
    sparsity = Sparsity.parse(text)
    weight = random_weight(shape)
    weight *= mask(weight, sparsity)
    packed = pack_columns(weight, sparsity.block[0])
    assert departure(weight, sparsity) is None
    tail = shape[0] % sparsity.block[0]
    stored = packed.weight[packed.starts[-2] :, tail:] if tail else packed.weight[:0]
    assert not stored.any(), "filters that do not exist have weights"
    per_unit = sparsity.block[1] * (shape[2] * shape[3] if sparsity.pattern == "connectivity" else 1)
    assert packed.lengths.max() <= sparsity.kept_units(shape) * per_unit
    if shape[1] % sparsity.block[1] == 0:
        assert packed.common_length == sparsity.kept_units(shape) * per_unit


def test_a_kernel_s_group_may_differ_from_the_sparsity_s():
    weight = random_weight((32, 20, 3, 3))
    weight *= mask(weight, Sparsity.parse("columns:0.75:8x1"))
    eight, sixteen, four = (pack_columns(weight, filters) for filters in (8, 16, 4))
    columns = [set(zip(*part, strict=True)) for part in _groups(eight)]
    assert [set(zip(*part, strict=True)) for part in _groups(sixteen)] == [
        columns[0] | columns[1],
        columns[2] | columns[3],
    ]
    assert [set(zip(*part, strict=True)) for part in _groups(four)] == [part for part in columns for _ in range(2)]
    assert np.array_equal(sixteen.unpack(), weight)


def _groups(packed):
    ends = packed.starts[1:-1]
    return zip(np.split(packed.channel, ends), np.split(packed.position, ends), strict=True)


def test_packed_columns_equal_those_by_hand():
    weight = np.zeros((3, 2, 1, 3), np.float32)
    weight[0, 1, 0, 2], weight[1, 0, 0, 1], weight[1, 1, 0, 0], weight[2, 1, 0, 0] = 1, 2, 3, 4
    packed = pack_columns(weight, 2)
    assert packed.starts.tolist() == [0, 3, 4]
    assert packed.channel.tolist() == [0, 1, 1, 1]
    assert packed.position.tolist() == [1, 0, 2, 0]
    assert packed.weight.tolist() == [[0, 2], [0, 3], [1, 0], [4, 0]]
    assert packed.common_length is None
    assert pack_columns(weight, 2, "position").channel.tolist() == [1, 0, 1, 1]
    assert pack_columns(weight[::-1], 1, longest_first=True).groups.tolist() == [1, 0, 2]


def test_pack_takes_a_weight_of_zeros_and_one_without():
    zeros, ones = np.zeros((9, 3, 3, 3), np.float32), np.ones((9, 3, 3, 3), np.float32)
    assert pack_columns(zeros, 8).starts.tolist() == [0, 0, 0]
    assert pack_columns(zeros, 8).weight.shape == (0, 8)
    assert pack_columns(ones, 8).common_length == 27
    assert pack_patterns(zeros).starts.tolist() == [0]
    assert pack_patterns(zeros).taps.shape == (0, 4)
    assert pack_patterns(ones).lengths.sum() == 9 * 3 * 3  # a full kernel is 4 + 4 + 1 entries


@pytest.mark.parametrize("text", ["pattern:0.75", "pattern:0.5556:4", "pattern:0.9:1:free"])
def test_patterns_store_what_the_sparsity_keeps(text):
    sparsity = Sparsity.parse(text)
    weight = random_weight((38, 57, 3, 3))
    weight *= mask(weight, sparsity)
    packed = pack_patterns(weight)
    assert departure(weight, sparsity) is None
    assert len(packed.taps) <= sparsity.patterns
    assert packed.weight.size == np.count_nonzero(weight)
    assert (packed.taps == 4).any(axis=1).all()


def test_a_kernel_that_lost_an_entry_in_training_keeps_its_pattern():
    sparsity = Sparsity.parse("pattern:0.75:4")
    weight = random_weight((16, 16, 3, 3))
    weight *= mask(weight, sparsity)
    patterns = len(pack_patterns(weight).taps)
    filters, channels, rows, columns = np.nonzero(weight)
    weight[filters[:10], channels[:10], rows[:10], columns[:10]] = 0
    packed = pack_patterns(weight)
    assert len(packed.taps) == patterns
    assert np.array_equal(packed.unpack(), weight)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("block_punched:0.75:8x4", r"filter group 1 has nonzeros in \d+ units; block_punched:0.75:8x4 keeps 9"),
        ("columns:0.75:8x1", "keeps 36"),
        ("columns:0.75:8x1:free", "the layer has nonzeros in"),
        ("connectivity:0.75:8x4", "keeps 1"),
        ("pattern:0.75", "a kernel has [5-9] nonzeros"),
    ],
)
def test_a_weight_that_departs_is_told_and_packed_all_the_same(text, message):
    sparsity = Sparsity.parse(text)
    weight = random_weight((16, 16, 3, 3))
    weight *= mask(weight, sparsity)
    assert departure(weight, sparsity) is None
    weight[9, 3:9] = 1
    assert np.array_equal(pack_columns(weight, 8).unpack(), weight)
    assert np.array_equal(pack_patterns(weight).unpack(), weight)
    found = departure(weight, sparsity)
    assert found is not None
    assert re.search(message, found)


def test_pack_refuses_too_many_patterns():
    weight = random_weight((16, 16, 3, 3))
    weight *= mask(weight, Sparsity.parse("pattern:0.5556:8"))
    assert "8 patterns; pattern:0.5556:4 keeps 4" in departure(weight, Sparsity.parse("pattern:0.5556:4"))


def test_pack_keeps_half_precision():
    weight = random_weight((8, 4, 3, 3)).astype(np.float16)
    assert pack_columns(weight, 8).weight.dtype == pack_patterns(weight).weight.dtype == np.float16


@pytest.mark.parametrize(("shape", "filters", "order"), [((4, 4), 8, "channel"), ((4, 4, 1, 1), 0, "channel")])
def test_pack_refuses_weights_it_cannot_hold(shape, filters, order):
    with pytest.raises(UsageError, match="cannot pack"):
        pack_columns(np.zeros(shape), filters, order)


def test_pack_refuses_unknown_orders_and_other_kernels():
    with pytest.raises(UsageError, match="'row'"):
        pack_columns(np.zeros((4, 4, 1, 1)), 8, "row")
    with pytest.raises(UsageError, match="3x3 kernels"):
        pack_patterns(np.zeros((4, 4, 1, 1)))
