"""Shifts of keypoints between two decodings of the same photograph, and what of them is put down to rounding."""

import numpy as np
import pytest

from codegen.verifying.keypoints import KeypointShifts, same_people
from codegen.verifying.verdict import Allowed
from models.pose.person import Person


def person(x: float, y: float, height: float = 100.0, missing: tuple[int, ...] = ()) -> Person:
    """Eighteen keypoints down a line that leans to the right, from (x, y)."""
    keypoints = np.ones((18, 3))
    keypoints[:, 0] = x + np.linspace(0, height / 3, 18)
    keypoints[:, 1] = y + np.linspace(0, height, 18)
    keypoints[list(missing)] = (np.nan, np.nan, 0)
    return Person(keypoints, 10.0)


def moved(one: Person, keypoint: int, by: float) -> Person:
    keypoints = one.keypoints.copy()
    keypoints[keypoint, 0] += by
    return Person(keypoints, one.score)


def test_people_are_paired_whatever_their_order():
    here, there = [person(0, 0), person(300, 10), person(600, 0)], [person(601, 1), person(1, 1)]
    pairs = same_people(here, there)
    assert {(id(one), id(other)) for one, other in pairs} == {(id(here[0]), id(there[1])), (id(here[2]), id(there[0]))}


def test_people_who_share_no_keypoint_are_others():
    upper, lower = person(0, 0, missing=tuple(range(9))), person(0, 0, missing=tuple(range(9, 18)))
    assert same_people([upper], [lower]) == []
    assert same_people([], [lower]) == same_people([upper], []) == []


def test_shifts_count_what_moved_and_what_is_gone():
    shifts = KeypointShifts()
    shifts.add([moved(person(0, 0), 4, 3.0), person(900, 0)], [person(0, 0, missing=(7,)), person(400, 0)])
    shifts.add([person(50, 0, missing=(1, 2))], [person(50, 0)])
    found = shifts.to_dict()
    assert (found["people_both"], found["people_artifact_only"], found["people_reference_only"]) == (2, 1, 1)
    assert (found["keypoints"], found["keypoints_lost"], found["keypoints_gained"]) == (17 + 16, 2, 1)
    assert found["keypoint_shift_max"] == pytest.approx(3.0)
    assert found["keypoint_shift_mean"] == pytest.approx(3.0 / 33)
    assert found["keypoints_far"] == pytest.approx(1 / 33)


def test_nobody_has_no_shifts():
    found = KeypointShifts().to_dict()
    assert found["keypoint_shift_max"] is found["keypoints_far"] is None
    assert found["keypoints"] == found["people_both"] == 0


RIGHT = {
    "not_finite": [],
    "max_relative_error": 1e-5,
    "mean_relative_error": 1e-6,
    "ap_artifact": 0.4000,
    "ap_reference": 0.4005,
    "keypoints_far": 0.001,
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"not_finite": ["maps"]}, "not finite: maps"),
        ({"max_relative_error": None}, "nothing was compared"),
        ({"ap_artifact": 0.39}, "the difference in AP is 0.01"),
        ({"keypoints_far": 0.2}, "keypoints that moved by over 1 px is 0.2"),
        ({"max_relative_error": 0.5}, "the largest error is 0.5"),
    ],
)
def test_what_rounding_does_not_explain_is_named(dtype, change, says):
    allowed = Allowed.of(dtype, photographs=True)
    assert list(allowed.faults(RIGHT)) == []
    (fault,) = allowed.faults(RIGHT | change)
    assert says in fault


def test_one_value_far_off_is_no_fault_of_half_precision_where_people_stay():
    far = RIGHT | {"max_relative_error": 0.1}
    assert list(Allowed.of("float16", photographs=True).faults(far)) == []
    assert len(list(Allowed.of("float16", photographs=False).faults(far))) == 1
    assert len(list(Allowed.of("float32", photographs=True).faults(far))) == 1


def test_maps_that_are_wrong_as_wholes_are_a_fault_of_half_precision_where_no_value_is_far_off():
    (fault,) = Allowed.of("float16", photographs=True).faults(RIGHT | {"mean_relative_error": 0.03})
    assert "the mean error is 0.03" in fault


def test_limits_given_replace_those_of_the_type():
    strict = Allowed.of("float16", photographs=True).changed(1e-6, 1e-4)
    assert len(list(strict.faults(RIGHT))) == 2
    assert Allowed.of("float16", photographs=True).changed(None, None) == Allowed.of("float16", photographs=True)
