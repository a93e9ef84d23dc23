"""Sparsities: their text, what they apply to, how much they keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetpose.errors import UsageError
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity, parse_variant, variant_text


def conv(out=128, channels=128, kernel=(3, 3), groups=1, size=46):
    padding = (kernel[0] // 2, kernel[1] // 2)
    shape = (channels, size, size)
    return Layer("a", "conv", ("x",), (shape,), (out, size, size), kernel, padding=padding, groups=groups)


def sparsities():
    zeros = st.floats(0, 1, exclude_max=True)
    sides = st.integers(1, 64)
    blocks = st.builds(
        Sparsity,
        st.sampled_from(["block_punched", "connectivity"]),
        zeros,
        st.tuples(sides, sides),
        st.just(0),
        st.booleans(),
    )
    columns = st.builds(Sparsity, st.just("columns"), zeros, st.tuples(sides, st.just(1)), st.just(0), st.booleans())
    patterns = st.builds(
        Sparsity, st.just("pattern"), st.floats(0.55, 0.99), st.just((1, 1)), st.integers(1, 8), st.booleans()
    )
    return blocks | columns | patterns


@given(sparsities())
def test_sparsity_text_is_read_back(sparsity):
    assert Sparsity.parse(str(sparsity)) == sparsity
    assert parse_variant(variant_text(sparsity)) == sparsity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("block_punched:0.75:8x4", Sparsity("block_punched", 0.75, (8, 4))),
        ("columns:0.5:16x1:free", Sparsity("columns", 0.5, (16, 1), balanced=False)),
        ("connectivity:0.9:4x2", Sparsity("connectivity", 0.9, (4, 2))),
        ("pattern:0.75", Sparsity("pattern", 0.75, patterns=8)),
        ("pattern:0.75:4", Sparsity("pattern", 0.75, patterns=4)),
        ("pattern:0.75:free", Sparsity("pattern", 0.75, patterns=8, balanced=False)),
        ("pattern:0.75:6:free", Sparsity("pattern", 0.75, patterns=6, balanced=False)),
    ],
)
def test_sparsity_reads_and_writes_texts(text, value):
    assert Sparsity.parse(text) == value
    assert str(value) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("block_puched:0.75:8x4", "unknown sparsity pattern 'block_puched'; did you mean 'block_punched'"),
        ("block_punched", "after block_punched come the fraction of zeros and FILTERSxCHANNELS"),
        ("block_punched:0.75", "FILTERSxCHANNELS, e.g. block_punched:0.75:8x4"),
        ("block_punched:0.75:8x4:9", "is no sparsity"),
        ("block_punched:0.75:8:free", "is no sparsity"),
        ("block_punched:much:8x4", "is no sparsity"),
        ("block_punched:1.0:8x4", "the fraction of zeros is 1.0"),
        ("block_punched:nan:8x4", "the fraction of zeros is nan"),
        ("block_punched:-0.1:8x4", "the fraction of zeros is -0.1"),
        ("block_punched:0.5:0x4", "at least one filter and one channel"),
        ("columns:0.5:8x4", "with more it is block_punched"),
        ("pattern:0.5", "give 0.5556 to keep every kernel"),
        ("pattern:0.75:9", "1 to 8 kernel patterns, not 9"),
        ("pattern:0.75:8x4", "is no sparsity"),
        ("", "unknown sparsity pattern ''"),
    ],
)
def test_sparsity_refuses_other_texts(text, message):
    with pytest.raises(UsageError) as error:
        Sparsity.parse(text)
    assert message in str(error.value)


def test_dense_is_no_sparsity_but_a_variant():
    assert parse_variant("dense") is None
    assert variant_text(None) == "dense"
    with pytest.raises(UsageError, match="unknown variant 'dens'; did you mean 'dense'"):
        parse_variant("dens")


def test_blocks_belong_to_blocks_and_patterns_to_patterns():
    with pytest.raises(UsageError, match="no kernel patterns"):
        Sparsity("columns", 0.5, (8, 1), patterns=4)
    with pytest.raises(UsageError, match="kernel patterns have no block"):
        Sparsity("pattern", 0.75, (8, 4), patterns=4)


@pytest.mark.parametrize(
    ("text", "layer", "reason"),
    [
        ("columns:0.5:8x1", conv(), None),
        ("columns:0.5:8x1", conv(19, 38, (1, 1)), None),
        ("columns:0.0:8x1", conv(), None),
        ("columns:0.5:8x1", conv(8, 8, groups=8), "a depthwise convolution"),
        ("columns:0.5:8x1", conv(32, 16, groups=2), None),
        ("block_punched:0.5:8x4", conv(32, 16, groups=4), None),
        ("columns:0.5:8x1", conv(24, 16, groups=4), "blocks of 8 filters do not divide its groups of 6"),
        ("columns:0.5:2x1", conv(24, 16, groups=4), None),
        ("pattern:0.75", conv(32, 16, groups=2), "in one group"),
        ("columns:0.5:1x1", conv(8, 16, groups=8), "one filter per group"),
        ("columns:0.5:8x1", conv(1, 64), "one output channel"),
        ("pattern:0.75", conv(1, 64), "one output channel"),
        ("columns:0.5:4x1", conv(64, 1), "one input channel"),
        ("pattern:0.75", conv(kernel=(1, 1)), "not 1x1"),
        ("pattern:0.5556", conv(), None),
        ("block_punched:0.5:8x4", conv(8, 4, (1, 1)), "too large to remove 0.5 of 1"),
        ("connectivity:0.1:8x4", conv(8, 16), "too large to remove 0.1 of 4"),
        ("columns:0.5:8x1", Layer("p", "max_pool", ("x",), ((4, 8, 8),), (4, 4, 4)), "max_pool has no weights"),
    ],
)
def test_sparsity_applies_to_layers_it_can_have(text, layer, reason):
    found = Sparsity.parse(text).applies_to(layer)
    assert found is None if reason is None else reason in found


@pytest.mark.parametrize(
    ("text", "shape", "kept"),
    [
        ("block_punched:0.75:8x4", (128, 128, 3, 3), 72),  # of 32 x 9
        ("block_punched:0.75:8x4:free", (128, 128, 3, 3), 72 * 16),
        ("columns:0.75:8x1", (128, 128, 3, 3), 288),
        ("connectivity:0.75:8x4", (128, 128, 3, 3), 8),
        ("block_punched:0.75:8x4", (19, 38, 1, 1), 3),  # of 10: 2.5, of two equally near the larger
        ("pattern:0.75", (16, 64, 3, 3), 36),  # 36 x 4 of 64 x 9
        ("pattern:0.5556", (16, 64, 3, 3), 64),
        ("columns:0.999:8x1", (8, 4, 1, 1), 1),
    ],
)
def test_sparsity_counts_kept_units(text, shape, kept):
    assert Sparsity.parse(text).kept_units(shape) == kept


@given(sparsities(), st.integers(1, 300), st.integers(1, 300))
def test_kept_fraction_is_as_near_as_units_permit(sparsity, out, channels):
    shape = (out, channels, 3, 3)
    units = sparsity.units(shape) * (1 if sparsity.balanced else sparsity.groups(shape))
    unit = (4 / 9 if sparsity.pattern == "pattern" else 1) / units
    wanted = 1 - sparsity.zeros
    assert 0 < sparsity.kept_fraction(shape) <= 1
    limit = 0.006 if sparsity.pattern == "pattern" else 0.0  # 0.55 stands for 5/9
    assert abs(sparsity.kept_fraction(shape) - wanted) <= max(unit / 2 + limit, unit - wanted) + 1e-9


def test_sparsity_counts_kept_macs_and_weights():
    layer = conv()
    assert Sparsity.parse("block_punched:0.75:8x4").kept_macs(layer) == layer.macs // 4
    assert Sparsity.parse("pattern:0.75").kept_weights(layer) == 128 * 128 * 9 // 4
