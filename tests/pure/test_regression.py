"""Keypoint regression: centres, offsets, and the suppression of poses found twice."""

import numpy as np
import pytest

from benchmarks.synthetic_people import compare, crowd, render_regression
from fleetpose.errors import UsageError
from models.pose.decoding.regression import RegressionSettings, decode
from models.pose.skeleton import FROM_COCO
from models.preprocess import Placement

CELLS = (46, 46)
IN_CELLS = Placement(CELLS, CELLS, CELLS)
COCO = list(FROM_COCO)


def pose(left=5.0, top=5.0, size=10.0, seed=0):
    """(17, 2) joints within a square."""
    return np.random.default_rng(seed).uniform(0, size, (17, 2)) + np.array([left, top])


def maps_of(poses, scores, size=CELLS):
    """Centres and offsets: each pose's centre is one cell, at the mean of its joints."""
    centres, offsets = np.zeros((1, *size), np.float32), np.zeros((34, *size), np.float32)
    for number, (joints, score) in enumerate(zip(poses, scores, strict=True)):
        x, y = np.rint(joints.mean(axis=0)).astype(int) + np.array([4 * number, 0])
        centres[0, y, x] = score
        offsets[:, y, x] = ((x, y) - joints).ravel()
    return centres, offsets


def test_a_keypoint_is_cell_minus_offset():
    centres, offsets = np.zeros((1, 8, 9), np.float32), np.zeros((34, 8, 9), np.float32)
    centres[0, 3, 5] = 0.8
    offsets[:, 3, 5] = np.arange(34) / 10
    (person,) = decode(centres, offsets, Placement((8, 9), (8, 9), (8, 9)))
    expected = (5, 3) - np.arange(34).reshape(17, 2) / 10
    np.testing.assert_allclose(person.keypoints[COCO, :2], expected, atol=1e-6)
    np.testing.assert_allclose(person.keypoints[:, 2], 0.8)
    assert person.score == pytest.approx(0.8)


def test_centres_must_be_above_the_threshold_and_are_the_best_thirty():
    maps = maps_of([pose()], [0.01])
    assert decode(*maps, IN_CELLS) == []
    assert len(decode(*maps_of([pose()], [0.011]), IN_CELLS)) == 1
    people = crowd(np.random.default_rng(0), 40, CELLS)
    maps = tuple(render_regression(people, CELLS, 0.0, np.random.default_rng(0)).values())
    assert len(decode(*maps, IN_CELLS)) == 30
    found = decode(*maps, IN_CELLS, RegressionSettings(most_people=60))
    assert compare(found, people, tolerance=0.1).whole == 40


@pytest.mark.parametrize(("moved", "people"), [(11, 1), (10, 2)])
def test_a_pose_with_more_than_ten_joints_of_a_better_one_is_dropped(moved, people):
    first = pose()
    reach = 0.15 * np.hypot(*np.ptp(first, axis=0))
    second = first + np.array([0, 20])
    second[:moved] = first[:moved] + np.array([0.99 * reach, 0])
    found = decode(*maps_of([first, second], [0.9, 0.8]), IN_CELLS)
    assert len(found) == people
    np.testing.assert_allclose(found[0].keypoints[COCO, :2], first, atol=1e-5)


@pytest.mark.parametrize(("share", "people"), [(0.149, 1), (0.151, 2)])
def test_same_means_closer_than_a_share_of_the_diagonal(share, people):
    first = pose()
    second = first + np.array([share * np.hypot(*np.ptp(first, axis=0)), 0])
    assert len(decode(*maps_of([first, second], [0.8, 0.9]), IN_CELLS)) == people


def test_the_better_pose_stays_and_only_kept_poses_drop_others():
    first = pose()
    step = np.array([0.1 * np.hypot(*np.ptp(first, axis=0)), 0])
    chain = [first, first + step, first + 2 * step]  # the third is the same as the second only
    found = decode(*maps_of(chain, [0.9, 0.8, 0.7]), IN_CELLS)
    assert [round(person.score, 3) for person in found] == [0.9, 0.7]


def test_heatmaps_weigh_each_keypoint():
    joints = np.rint(pose())
    centres, offsets = maps_of([joints], [0.5])
    heat = np.zeros((17, *CELLS), np.float32)
    for part, (x, y) in enumerate(joints.astype(int)):
        heat[part, y, x] = 0.04 * part
    (person,) = decode(centres, offsets, IN_CELLS, heatmaps=heat)
    np.testing.assert_allclose(person.keypoints[COCO, 2], 0.02 * np.arange(17), atol=1e-6)
    assert person.score == pytest.approx(0.02 * 8)
    with pytest.raises(UsageError, match="differ in size"):
        decode(centres, offsets, IN_CELLS, heatmaps=heat[:, :-1])


def test_joints_beyond_the_map_are_kept_and_weigh_nothing():
    joints = pose(left=-6, top=3)
    centres, offsets = maps_of([joints + np.array([8, 0])], [0.5])
    offsets[offsets != 0] += 8
    (person,) = decode(centres, offsets, IN_CELLS, heatmaps=np.ones((17, *CELLS), np.float32))
    outside = person.keypoints[COCO, 0] < -0.5
    assert outside.any()
    assert (person.keypoints[COCO, 2][outside] == 0).all()


def test_the_window_that_picks_centres_grows_with_the_map():
    for side, kept in ((46, 3), (250, 2), (301, 1)):
        centres, offsets = np.zeros((1, side, side), np.float32), np.zeros((34, side, side), np.float32)
        # 2 and 3 cells from the best: 3 x 3 keeps all, 5 x 5 drops the second, 7 x 7 the third too.
        for number, (x, score) in enumerate(((10, 0.9), (12, 0.8), (7, 0.7))):
            centres[0, 10, x] = score
            offsets[:, 10, x] = 100 * number + pose(seed=number).ravel()
        assert len(decode(centres, offsets, Placement((side, side), (side, side), (side, side)))) == kept
