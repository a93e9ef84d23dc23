"""People on a picture."""

import cv2
import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from fleetpose.errors import UsageError
from models.pose.drawing.draw import draw_people as draw_all
from models.pose.drawing.draw import write_picture
from models.pose.person import Person
from models.pose.skeleton import PARTS


def draw_people(image, people):
    """Without labels, which have tests of their own (test_labels)."""
    return draw_all(image, people, labels=False)


def standing(left=100.0, top=20.0, height=200.0, confidence=0.9):
    keypoints = np.column_stack([STANDING * height + (left, top), np.full(len(STANDING), confidence)])
    return Person(keypoints, 20 * confidence)


@pytest.fixture
def grey():
    return np.full((240, 200, 3), 128, np.uint8)


def changed(before, after):
    return (before != after).any(axis=2)


@pytest.mark.parametrize(("suffix", "most"), [(".webp", 16_383), (".jpg", 65_500), (".JPEG", 65_500)])
def test_a_picture_too_large_for_its_format_is_refused_with_the_reason(tmp_path, suffix, most):
    out = tmp_path / f"people{suffix}"
    with pytest.raises(UsageError) as caught:
        write_picture(out, np.zeros((1, most + 1, 3), np.uint8))
    reason = f"a {suffix} has at most {most} pixels a side, and the picture is {most + 1} x 1; give a .png"
    assert str(caught.value) == f"cannot write {out}: {reason}"
    assert not list(tmp_path.iterdir())
    write_picture(out, np.zeros((most, 1, 3), np.uint8))
    assert cv2.imread(str(out)).shape == (most, 1, 3)


def test_nobody_changes_nothing_and_the_image_is_a_copy(grey):
    drawn = draw_people(grey, [])
    assert (drawn == grey).all()
    assert drawn is not grey


def test_limbs_lie_between_their_joints_and_nothing_lies_far_away(grey):
    person = standing()
    drawn = draw_people(grey, [person])
    assert (grey == 128).all()
    mask = changed(grey, drawn)
    for start, end in (("neck", "right_hip"), ("left_hip", "left_knee"), ("right_elbow", "right_wrist")):
        x, y = person.keypoints[[PARTS.index(start), PARTS.index(end)], :2].mean(axis=0).round().astype(int)
        assert mask[y, x]
    left, top, right, bottom = (round(side) for side in person.box)
    mask[top - 8 : bottom + 9, left - 8 : right + 9] = False
    assert not mask.any()


def test_right_and_left_differ_in_colour(grey):
    person = standing()
    drawn = draw_people(grey, [person]).astype(int)
    colours = []
    for side in ("right", "left"):
        ends = [PARTS.index(f"{side}_{part}") for part in ("knee", "ankle")]
        x, y = person.keypoints[ends, :2].mean(axis=0).round().astype(int)
        colours.append(drawn[y, x])
    assert np.abs(colours[0] - colours[1]).max() > 80


def test_confidence_fades(grey):
    sure, faint = (
        np.abs(draw_people(grey, [standing(confidence=confidence)]).astype(int) - 128).sum()
        for confidence in (0.9, 0.15)
    )
    assert 0 < faint < 0.6 * sure


def test_lines_grow_with_the_person():
    image = np.full((900, 800, 3), 128, np.uint8)
    small, large = (changed(image, draw_people(image, [standing(400, 40, height)])).sum() for height in (200.0, 800.0))
    assert large > 8 * small  # an area: 16 times, were it not for the least widths


def test_unsure_limbs_are_thinner():
    image = np.full((600, 500, 3), 128, np.uint8)
    widths = []
    for confidence in (0.9, 0.1):
        person = standing(250, 20, 560, confidence)
        y = round(person.keypoints[[3, 4], 1].mean())
        right = slice(round(person.keypoints[3, 0]) - 20, round(person.keypoints[3, 0]) + 20)
        widths.append(int(changed(image, draw_people(image, [person]))[y, right].sum()))
    assert 0 < widths[1] < widths[0]


def test_unsure_limbs_let_the_picture_through_and_no_outline():
    """On white the middle of a faint limb is lighter than the sure one's, not darkened by what lies below it."""
    image = np.full((600, 500, 3), 255, np.uint8)
    person = standing(250, 20, 560)
    x, y = person.keypoints[[9, 10], :2].mean(axis=0).round().astype(int)
    sure, faint = (draw_people(image, [standing(250, 20, 560, score)])[y, x].astype(int) for score in (0.9, 0.1))
    assert (faint >= sure).all()
    assert faint.sum() > sure.sum() + 60


def test_lines_of_people_cut_off_are_as_wide_as_whole_people_s(grey):
    whole = standing(100, 40, 600)
    keypoints = whole.keypoints.copy()
    keypoints[[9, 10, 12, 13]] = np.nan, np.nan, 0
    assert Person(keypoints, 1.0).stature == pytest.approx(whole.stature, rel=0.1)
    assert whole.stature == pytest.approx(600, rel=0.1)


def test_a_head_and_a_shoulder_tell_more_than_their_extent():
    keypoints = standing(height=600).keypoints.copy()
    keypoints[[3, 4, *range(5, 14)]] = np.nan, np.nan, 0
    person = Person(keypoints, 1.0)
    left, top, right, bottom = person.box
    reach = max(right - left, bottom - top)
    assert 1.5 * reach < person.stature <= 600


def test_one_misplaced_joint_makes_no_giant():
    person = standing()
    keypoints = person.keypoints.copy()
    keypoints[PARTS.index("left_wrist"), :2] = 5000, 20
    assert Person(keypoints, 1.0).stature == pytest.approx(person.stature, rel=0.1)


def test_names_of_joints_are_written_beside_large_people_only_when_asked_for():
    image = np.full((900, 800, 3), 128, np.uint8)
    large, small = standing(400, 40, 800), standing(400, 40, 100)
    named = draw_all(image, [large], names=True)
    plain = draw_all(image, [large])
    assert changed(named, plain).sum() > 18 * 100
    for x, y in large.keypoints[:, :2].round().astype(int):
        assert (named[y, x] == plain[y, x]).all()
    assert (draw_all(image, [small], names=True) == draw_all(image, [small])).all()
    assert (draw_all(image, [], names=True) == image).all()


def test_edges_are_smooth(grey):
    drawn = draw_people(grey, [standing()])
    assert len(np.unique(drawn[:, :, 0])) > 30


def test_a_hidden_joint_takes_its_limbs_along(grey):
    person = standing()
    keypoints = person.keypoints.copy()
    keypoints[PARTS.index("right_wrist")] = np.nan, np.nan, 0
    with_wrist, without = draw_people(grey, [person]), draw_people(grey, [Person(keypoints, 1.0)])
    x, y = person.keypoints[PARTS.index("right_wrist"), :2].round().astype(int)
    assert changed(grey, with_wrist)[y, x]
    assert not changed(grey, without)[y, x]


def test_nothing_found_draws_nothing(grey):
    keypoints = np.full((18, 3), np.nan)
    keypoints[:, 2] = 0
    assert (draw_people(grey, [Person(keypoints, 0.0)]) == grey).all()


@pytest.mark.parametrize("offset", [(-150, 0), (1e4, 1e4), (-1e12, 50), (0, 1e300)])
def test_people_beyond_the_image_are_clipped(grey, offset):
    person = standing()
    keypoints = person.keypoints.copy()
    keypoints[4:, :2] += offset
    drawn = draw_people(grey, [Person(keypoints, 1.0)])
    assert drawn.shape == grey.shape


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_photograph_is_refused(image):
    with pytest.raises(UsageError):
        draw_people(image, [])
