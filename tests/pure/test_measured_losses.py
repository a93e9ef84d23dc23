"""Losses by measured divergence: between points, beyond them, of other families and layers; and what is in doubt."""

import pytest

from latency.planning.losses import coarseness
from latency.planning.measured_losses import ITS_FAMILY, ITS_LAYER, MEASURED, NOTHING, MeasuredLosses
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity

TABLE = (("backbone", "backbone"), ("head", "head"))
FINE, COARSE = "columns:{}:4x1", "block_punched:{}:8x4"


def conv(name: str) -> Layer:
    shape = (64, 8, 8)
    return Layer(name, "conv", ("x",), (shape,), shape, (3, 3), padding=(1, 1), module=name)


LAYERS = [conv(name) for name in ("backbone.0", "backbone.1", "backbone.2", "head.0", "head.1")]


def sparsity(zeros: float, text: str = FINE) -> Sparsity:
    return Sparsity.parse(text.format(zeros))


def losses(points) -> MeasuredLosses:
    return MeasuredLosses(LAYERS, TABLE, points, "on 2 photographs")


def test_measured_loss_is_answered_as_it_is():
    known = losses({"backbone.0": {sparsity(0.5): 0.02}})
    assert known.of(LAYERS[0], sparsity(0.5)) == 0.02
    assert known.is_measured(LAYERS[0], sparsity(0.5))
    assert not known.is_measured(LAYERS[0], sparsity(0.75))


def test_loss_between_and_beyond_points_is_a_power_of_the_odds():
    """0.01 x odds ** 1.5, measured at odds of 1 and 9."""
    known = losses({"backbone.0": {sparsity(0.5): 0.01, sparsity(0.9): 0.01 * 9**1.5}})
    assert known.exponent == pytest.approx(1.5, rel=0.02), "kept columns are whole, so zeros are only near 0.9"
    assert known.of(LAYERS[0], sparsity(0.75)) == pytest.approx(0.01 * 3**1.5, rel=0.03)
    assert known.of(LAYERS[0], sparsity(0.25)) == pytest.approx(0.01 / 3**1.5, rel=0.03)


def test_more_zeros_lose_no_less_whatever_was_measured():
    known = losses({"backbone.0": {sparsity(0.5): 0.05, sparsity(0.75): 0.04}})
    values = [known.of(LAYERS[0], sparsity(zeros)) for zeros in (0.3, 0.55, 0.7, 0.8, 0.9)]
    assert values == sorted(values)


def test_layer_that_was_not_measured_is_like_its_block():
    known = losses({"backbone.0": {sparsity(0.5): 0.01}, "backbone.1": {sparsity(0.5): 0.04},
                    "backbone.2": {sparsity(0.5): 0.02}, "head.0": {sparsity(0.5): 0.3}})  # fmt: skip
    assert known.of(LAYERS[4], sparsity(0.5)) == pytest.approx(0.3, rel=0.01)
    without = losses({"backbone.0": {sparsity(0.5): 0.01}})
    assert without.of(LAYERS[4], sparsity(0.5)) == pytest.approx(0.01, rel=0.01), "no layer of its block was"


def test_other_family_is_dearer_by_coarseness_until_it_was_measured_in_three_layers():
    fine, coarse = sparsity(0.5), sparsity(0.5, COARSE)
    one = losses({"backbone.0": {fine: 0.01}})
    assert one.of(LAYERS[0], coarse) == pytest.approx(0.01 * coarseness(coarse, LAYERS[0]), rel=0.01)
    three = losses({layer.name: {fine: 0.01, coarse: 0.05} for layer in LAYERS[:3]} | {"head.0": {fine: 0.02}})
    assert three.of(LAYERS[3], coarse) == pytest.approx(0.1, rel=0.02)


def test_spread_says_how_near_the_measured_points_are():
    known = losses({"backbone.0": {sparsity(0.5): 0.01}})
    wanted = ((LAYERS[0], sparsity(0.5), MEASURED), (LAYERS[0], sparsity(0.75), ITS_FAMILY),
              (LAYERS[0], sparsity(0.5, COARSE), ITS_LAYER), (LAYERS[1], sparsity(0.5), NOTHING))  # fmt: skip
    assert all(known.spread(layer, variant) == spread for layer, variant, spread in wanted)


def test_without_any_point_more_zeros_still_lose_more():
    known = losses({})
    assert 0 < known.of(LAYERS[0], sparsity(0.5)) < known.of(LAYERS[0], sparsity(0.75))
