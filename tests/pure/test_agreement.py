"""Agreement of a changed network with the dense one, on maps of known people: its ends, its order, what has none."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING, crowd, render_fields
from fleetpose.errors import UsageError
from models.accuracy.agreement import MOST_PEOPLE, Agreement, measure_agreement, person_area
from models.accuracy.divergence import OutputDivergence, divergence
from models.accuracy.grade import Grade, agreement_text, grade
from models.annotations.areas import LEAST_AREA
from models.pose.person import Person
from models.preprocess import Preprocessing
from models.zoo.spec import ModelSpec

SPEC = ModelSpec("synthetic", "no.module:factory", Preprocessing((128, 128, 128), 1 / 256))
CELLS = (46, 46)


def fields(people: list[int], seed: int = 0) -> list[list[np.ndarray]]:
    """The maps of photographs with so many people each."""
    random = np.random.default_rng(seed)
    rendered = [render_fields(crowd(random, number, CELLS), CELLS, 0.0, random) for number in people]
    return [[maps["heatmaps"][None], maps["pafs"][None]] for maps in rendered]


def network(maps, noise: float = 0.0, scale: float = 1.0):
    """A network that answers one photograph after the other with its maps, noisy or scaled."""
    rest, random = iter(maps), np.random.default_rng(7)

    def run(tensor: np.ndarray) -> list[np.ndarray]:
        assert tensor.shape == (1, 3, 368, 368)
        return [scale * array + noise * random.standard_normal(array.shape) for array in next(rest)]

    return run


def agreement_of(dense, changed, spec: ModelSpec = SPEC) -> Agreement:
    blank = [np.zeros((368, 368, 3), np.uint8)] * len(dense)
    arrays = changed if callable(changed) else network(changed)
    return measure_agreement(network(dense), arrays, spec, blank)


def test_network_agrees_with_itself_wholly():
    maps = fields([1, 2, 0, 3, 1, 2, 4])
    result = agreement_of(maps, maps)
    assert result.value == pytest.approx(1)
    assert result.interval() == pytest.approx((1, 1))
    assert result.divergence == 0
    facts = result.to_dict()
    assert (facts["people_dense"], facts["people_pruned"], facts["people_again"]) == (13, 13, 13)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_crowd_beyond_what_coco_judges_agrees_with_itself():
    maps = fields([30])
    result = agreement_of(maps, maps)
    assert result.value == pytest.approx(1)
    facts = result.to_dict()
    assert facts["people_dense"] == facts["people_pruned"] == facts["people_again"] == MOST_PEOPLE


def test_network_of_zeros_agrees_in_nothing():
    maps = fields([1, 2, 0, 3])
    result = agreement_of(maps, network(maps, scale=0))
    assert result.value == 0
    assert result.to_dict()["people_pruned"] == 0
    assert result.divergence > 0.5


def test_agreement_falls_and_divergence_rises_with_noise():
    maps = fields([1, 2, 3], seed=1)
    results = [agreement_of(maps, network(maps, noise)) for noise in (0, 0.03, 0.06, 0.12)]
    values, moved = [result.value for result in results], [result.divergence for result in results]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9
    assert moved == sorted(moved)
    assert len(set(moved)) == len(moved)


def test_people_whom_only_the_changed_network_finds_are_false():
    dense, changed = fields([1, 0, 1]), fields([1, 0, 1])
    changed[1] = fields([3], seed=2)[0]
    result = agreement_of(dense, changed)
    assert result.to_dict()["people_again"] == 2
    assert result.to_dict()["people_pruned"] == 5
    assert result.value < 1


def test_nobody_in_the_dense_network_leaves_agreement_undefined():
    result = agreement_of(fields([0, 0]), fields([1, 2]))
    assert result.value is None
    assert result.interval() is None
    assert "is sure of nobody in any of 2 photographs" in agreement_text(result.to_dict())


def test_outputs_without_a_decoder_have_a_divergence_only():
    maps = fields([1, 2])
    spec = replace(SPEC, outputs=("logits", "features"))
    result = agreement_of(maps, network(maps, 0.1), spec)
    assert (result.value, result.evaluation) == (None, None)
    assert result.divergence > 0
    assert "no decoder" in agreement_text(result.to_dict())


def test_few_photographs_with_people_have_no_interval():
    maps = fields([1, 2, 1, 1, 0, 0, 0])
    assert agreement_of(maps, maps).interval() is None


def test_no_photographs_are_refused():
    with pytest.raises(UsageError, match="needs photographs"):
        agreement_of([], [])


def test_area_is_a_share_of_the_box_but_no_line():
    joints = np.column_stack([STANDING * 200, np.ones(18)])
    left, top, right, bottom = Person(joints, 1.0).box
    assert person_area(Person(joints, 1.0)) == pytest.approx(0.73 * (right - left) * (bottom - top), rel=0.1)
    shoulders = np.full((18, 3), np.nan)
    shoulders[:, 2] = 0
    shoulders[2], shoulders[5] = (10, 50, 1), (310, 50, 1)
    assert person_area(Person(shoulders, 1.0)) == pytest.approx(0.73 * 300 * 100)
    shoulders[5] = (12, 50, 1)
    assert person_area(Person(shoulders, 1.0)) == LEAST_AREA


def test_divergence_of_batches_is_that_of_all_together():
    random = np.random.default_rng(0)
    dense = [random.normal(3, 1, (6, 4, 5, 7)), random.normal(-1, 2, (6, 2, 5, 7))]
    ours = [array + random.normal(0, 0.3, array.shape) for array in dense]
    batches = OutputDivergence()
    for cut in (slice(0, 1), slice(1, 4), slice(4, 6)):
        batches.add([array[cut] for array in ours], [array[cut] for array in dense])
    spreads = [((array - array.mean((0, 2, 3), keepdims=True)) ** 2).sum() for array in dense]
    errors = [((a - b) ** 2).sum() for a, b in zip(ours, dense, strict=True)]
    assert batches.value == pytest.approx(np.mean(np.divide(errors, spreads)))
    assert divergence(ours, dense) == pytest.approx(batches.value)
    assert np.isnan(OutputDivergence().value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, Grade.KEPT), (0.95, Grade.KEPT), (0.94, Grade.LOWERED), (0.79, Grade.LOST), (0.0, Grade.LOST), (None, None)],
)
def test_grade_by_value(value, expected):
    assert grade(value) is expected
