"""How zeros are shared out among layers: exact, within the budget, and on what the curves say."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpose.errors import UsageError
from models.graph.layer import Layer
from models.plans.allocation import PruningOption, allocate, options
from models.plans.sparsity import Sparsity
from models.prune.masks.families import family_text, parse_family

LAYER = Layer("l", "conv", ("x",), ((64, 8, 8),), (32, 8, 8), (3, 3), padding=(1, 1), bias=True)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 10)), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(0, 90),
)
def test_allocation_is_the_best_of_all(layers, budget):
    choices = {str(i): [PruningOption(None, left, loss) for left, loss in each] for i, each in enumerate(layers)}
    every = [sum(o.loss for o in c) for c in product(*choices.values()) if sum(o.left for o in c) <= budget]
    if not every:
        with pytest.raises(UsageError, match="cannot be reached"):
            allocate(choices, budget)
        return
    found = allocate(choices, budget)
    assert list(found) == list(choices)
    assert sum(option.left for option in found.values()) <= budget
    assert sum(option.loss for option in found.values()) == pytest.approx(min(every), rel=1e-3, abs=1e-6)


def test_allocation_options_follow_the_curve():
    family = parse_family("columns:4x1")
    found = options(LAYER, {family: {0.25: 0.04, 0.5: 0.36, 0.75: 1.0}})
    assert found[0] == PruningOption(None, LAYER.params, 0.0)
    by_zeros = {option.sparsity.zeros: option for option in found[1:]}
    assert max(by_zeros) == pytest.approx(0.74)
    assert by_zeros[0.5].loss == pytest.approx(0.36)
    assert by_zeros[0.38].loss == pytest.approx(0.16, rel=0.05), "its root lies between those of its neighbours"
    assert by_zeros[0.5].left == 32 * 64 * 9 / 2 + 32
    losses = [by_zeros[zeros].loss for zeros in sorted(by_zeros)]
    assert losses == sorted(losses)


def test_losses_never_fall_with_zeros_and_macs_can_be_counted():
    curve = {0.25: 0.09, 0.5: 0.01, 0.75: 0.5}
    found = options(LAYER, {parse_family("columns:4x1"): curve}, "macs")
    assert found[0].left == LAYER.macs
    middle = next(option for option in found[1:] if option.sparsity.zeros == 0.5)
    assert middle.loss == pytest.approx(0.09)
    assert middle.left == LAYER.macs / 2


def test_families_compete_and_what_a_layer_cannot_have_is_left_out():
    pointwise = Layer("l", "conv", ("x",), ((64, 8, 8),), (32, 8, 8))
    curves = {parse_family("pattern"): {0.75: 0.1}, parse_family("block_punched:8x4"): {0.75: 0.1}}
    assert {o.sparsity.pattern for o in options(pointwise, curves)[1:]} == {"block_punched"}
    both = {o.sparsity.pattern for o in options(LAYER, curves)[1:]}
    assert both == {"pattern", "block_punched"}
    assert min(o.sparsity.zeros for o in options(LAYER, curves)[1:] if o.sparsity.pattern == "pattern") >= 5 / 9 - 1e-4


@pytest.mark.parametrize(
    "text", ["columns:4x1", "block_punched:8x4:free", "pattern", "pattern:4:free", "connectivity:8x4"]
)
def test_allocation_families_are_read_from_texts(text):
    assert family_text(parse_family(text)) == text
    assert family_text(Sparsity.parse("columns:0.3:4x1")) == "columns:4x1"


@pytest.mark.parametrize("text", ["colums:4x1", "columns", "columns:0.5:4x1", "pattern:x"])
def test_allocation_refuses_what_is_no_family(text):
    with pytest.raises(UsageError, match="no family of sparsities"):
        parse_family(text)
