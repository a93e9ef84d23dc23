"""Masks by magnitude: structure, number and choice of what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpose.errors import UsageError
from models.plans.sparsity import Sparsity
from models.prune.masks.build import CANDIDATES, kernel_patterns, mask, spread, unit_scores

SHAPES = [(19, 38, 1, 1), (38, 57, 3, 3), (57, 19, 5, 5), (145, 185, 3, 3), (88, 145, 3, 3), (8, 4, 1, 1), (3, 2, 3, 1)]
TEXTS = [
    "block_punched:0.75:8x4",
    "block_punched:0.5:16x8:free",
    "columns:0.75:8x1",
    "columns:0.9:16x1:free",
    "connectivity:0.5:8x4",
    "connectivity:0.8:4x1:free",
]


def random_weight(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def blocks(kept, sparsity):
    """Every block's mask, as (filter group, channel block, the block's mask)."""
    filters, channels = sparsity.block
    for f in range(0, kept.shape[0], filters):
        for c in range(0, kept.shape[1], channels):
            yield f // filters, c // channels, kept[f : f + filters, c : c + channels]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", TEXTS)
def test_units_are_kept_or_removed_whole(text, shape):
    sparsity = Sparsity.parse(text)
    kept = mask(random_weight(shape), sparsity)
    assert kept.shape == shape
    assert kept.dtype == bool
    counts = np.zeros(sparsity.groups(shape), int)
    for group, _, block in blocks(kept, sparsity):
        assert (block == block[:1, :1]).all()
        if sparsity.pattern == "connectivity":
            assert block.all() or not block.any()
            counts[group] += block.any()
        else:
            counts[group] += block[0, 0].sum()
    expected = sparsity.kept_units(shape)
    assert (counts == expected).all() if sparsity.balanced else counts.sum() == expected


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("shape", [(32, 64, 3, 3), (128, 128, 1, 1)])
def test_the_fraction_is_exact_where_blocks_divide_the_layer(text, shape):
    sparsity = Sparsity.parse(text)
    assert mask(random_weight(shape), sparsity).mean() == pytest.approx(sparsity.kept_fraction(shape))


@pytest.mark.parametrize("text", TEXTS)
def test_smaller_blocks_at_the_end_are_not_always_the_ones_to_go(text):
    sparsity = Sparsity.parse(text)
    kept = mask(random_weight((145, 185, 3, 3)), sparsity)
    assert kept[-1].mean() > 0
    assert kept[:, -1].mean() > 0
    # free groups are counted by units, and the last one has light ones
    assert kept.mean() == pytest.approx(sparsity.kept_fraction(kept.shape), abs=0.02 if sparsity.balanced else 0.04)


def test_masks_keep_the_largest_units():
    """Scores by the definition: sum over channels of the L2 norm over filters."""
    sparsity, weight = Sparsity.parse("block_punched:0.75:4x2"), random_weight((8, 6, 3, 3))
    kept = mask(weight, sparsity)
    for group in range(2):
        scores = {}
        for block in range(3):
            for ky in range(3):
                for kx in range(3):
                    part = weight[group * 4 : group * 4 + 4, block * 2 : block * 2 + 2, ky, kx].astype(float)
                    stays = kept[group * 4, block * 2, ky, kx]
                    scores.setdefault(bool(stays), []).append(sum(np.linalg.norm(part[:, c]) for c in range(2)))
        assert min(scores[True]) >= max(scores[False])


def test_free_groups_take_from_the_small_for_the_large():
    weight = np.ones((16, 4, 1, 1), np.float32)
    weight[8:] = 0.1
    assert mask(weight, Sparsity.parse("columns:0.5:8x1:free"))[:, 0, 0, 0].tolist() == [True] * 8 + [False] * 8
    assert mask(weight, Sparsity.parse("columns:0.5:8x1")).sum() == 32


def test_equal_weights_and_zeros_give_the_first_units():
    for weight in (np.ones((8, 4, 1, 1)), np.zeros((8, 4, 1, 1))):
        assert mask(weight, Sparsity.parse("columns:0.5:8x1"))[0, :, 0, 0].tolist() == [True, True, False, False]


def test_masks_spread_unit_scores_back():
    sparsity, weight = Sparsity.parse("columns:0.5:8x1"), random_weight((19, 5, 3, 3))
    wide = spread(unit_scores(weight, sparsity), sparsity, weight.shape)
    assert wide.shape == weight.shape
    assert np.allclose(wide[3], np.sqrt((weight[:8].astype(float) ** 2).mean(axis=0)))
    assert np.allclose(wide[18], np.sqrt((weight[16:].astype(float) ** 2).mean(axis=0)))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0.5556, 0.97),
    st.integers(1, 8),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_masks_keep_kernel_patterns(out, channels, zeros, patterns, balanced, seed):
    sparsity = Sparsity("pattern", zeros, patterns=patterns, balanced=balanced)
    kept = mask(random_weight((out, channels, 3, 3), seed), sparsity).reshape(out, channels, 9)
    sizes = kept.sum(axis=2)
    assert set(np.unique(sizes)) <= {0, 4}
    assert (kept[:, :, 4] == (sizes > 0)).all()
    assert len(np.unique(kept[sizes > 0], axis=0)) <= patterns
    expected = sparsity.kept_units((out, channels, 3, 3))
    assert ((sizes > 0).sum(axis=1) == expected).all() if balanced else (sizes > 0).sum() == expected


def test_the_most_frequent_patterns_are_found():
    """Weights that have patterns keep them, whatever their small entries."""
    generator = np.random.default_rng(1)
    weight = 0.01 * generator.standard_normal((12, 10, 9))
    chosen = generator.choice(len(CANDIDATES), 3, replace=False)
    which = np.repeat(chosen, [60, 40, 20])
    generator.shuffle(which)
    rows = np.arange(120)
    weight.reshape(120, 9)[rows[:, None], CANDIDATES[which]] = generator.choice([-1, 1], (120, 4))
    weight = weight.reshape(12, 10, 3, 3)
    assert (kernel_patterns(weight, 8) == CANDIDATES[chosen]).all()
    kept = mask(weight, Sparsity.parse("pattern:0.5556")).reshape(120, 9)
    assert (np.nonzero(kept)[1].reshape(120, 4) == CANDIDATES[which]).all()


def test_there_are_56_patterns_with_the_centre():
    assert len({tuple(row) for row in CANDIDATES.tolist()}) == 56
    assert (CANDIDATES == 4).any(axis=1).all()


@pytest.mark.parametrize(
    ("weight", "text", "message"),
    [
        (np.zeros((4, 4)), "columns:0.5:8x1", r"\(4, 4\)"),
        (np.full((4, 4, 1, 1), np.nan), "columns:0.5:8x1", "not finite"),
        (np.zeros((4, 4, 1, 1)), "pattern:0.75", "3x3 kernels, not 1x1"),
    ],
)
def test_masks_refuse_what_cannot_be_masked(weight, text, message):
    with pytest.raises(UsageError, match=message):
        mask(weight, Sparsity.parse(text))
