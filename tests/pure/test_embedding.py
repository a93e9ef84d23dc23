"""Associative Embedding: the grouping and its refinement against plain loops, and their constants."""

import itertools

import cv2
import numpy as np
import pytest

from benchmarks.synthetic_people import TAG_STEP, compare, crowd, hide, render_embedding
from fleetpose.errors import UsageError
from models.pose.decoding.embedding import EmbeddingSettings, decode
from models.pose.decoding.maxima import local_maxima
from models.pose.decoding.tags import JOINT_ORDER, group
from models.pose.skeleton import FROM_COCO
from models.preprocess import Placement

CELLS, PIXELS = (46, 46), (368, 368)
PLACEMENT = Placement(PIXELS, PIXELS, PIXELS)


def rendered(people, noise=0.0, seed=0):
    return render_embedding(people, CELLS, noise, np.random.default_rng(seed))


def in_pixels(people):
    return PLACEMENT.cells_to_image(people, CELLS)


def plain_group(tags, scores, threshold):
    """[{joint: candidate}], by trying every assignment; None where two cost the same. For a few people."""
    people = []
    for joint in JOINT_ORDER:
        candidates = list(range(len(tags[joint])))
        means = [np.mean([tags[j][c] for j, c in person.items()], axis=0) for person in people]
        gap = [[float(np.linalg.norm(tags[joint][c] - mean)) for mean in means] for c in candidates]
        cost = [[100 * round(gap[c][p]) - scores[joint][c] for p in range(len(people))] for c in candidates]
        chosen = {}
        if people and candidates:
            number = min(len(people), len(candidates))
            options = sorted(
                (sum(cost[c][p] for c, p in zip(some, order, strict=True)), some, order)
                for some in itertools.combinations(candidates, number)
                for order in itertools.permutations(range(len(people)), number)
            )
            if len(options) > 1 and options[1][0] - options[0][0] < 1e-5:
                return None
            chosen = dict(zip(*options[0][1:], strict=True))
        for c in candidates:
            if c in chosen and gap[c][chosen[c]] < threshold:
                people[chosen[c]][joint] = c
            else:
                people.append({joint: c})
    return people


@pytest.mark.parametrize("dimensions", [1, 2])
def test_groups_as_trying_every_assignment_does(dimensions):
    compared = sum(agrees_with_every_assignment(np.random.default_rng([seed, 1]), dimensions) for seed in range(60))
    assert compared >= 20


def agrees_with_every_assignment(random, dimensions):
    truth = random.uniform(-4, 4, (3, dimensions))
    tags, scores = [], []
    for _ in JOINT_ORDER:
        seen = random.permutation(3)[: random.integers(0, 4)]
        tags.append((truth[seen] + random.uniform(-0.3, 0.3, (len(seen), dimensions))).astype(np.float32))
        scores.append(random.uniform(0.1, 1, len(seen)).astype(np.float32))
    expected = plain_group(tags, scores, 1.0)
    if expected is None:
        return False
    found = group(tags, scores, 1.0, 30)
    for person, members, tag in zip(expected, found.members, found.tags, strict=True):
        assert {joint: c for joint, c in enumerate(members) if c >= 0} == person
        np.testing.assert_allclose(tag, np.mean([tags[j][c] for j, c in person.items()], axis=0), atol=1e-5)
    return True


def test_a_joint_of_another_tag_starts_a_person():
    nothing = [np.zeros((0, 1))] * 17, [np.zeros(0)] * 17
    for distance, people in ((0.99, 1), (1.0, 2)):
        tags, scores = list(nothing[0]), list(nothing[1])
        tags[0], scores[0] = np.array([[5.0]]), np.array([0.9])
        tags[1], scores[1] = np.array([[5.0 + distance]]), np.array([0.8])
        assert len(group(tags, scores, 1.0, 30).members) == people


def test_of_equal_tags_the_surer_joint_is_taken():
    tags, scores = [np.zeros((0, 1))] * 17, [np.zeros(0)] * 17
    tags[0], scores[0] = np.array([[5.0]]), np.array([0.9])
    tags[1], scores[1] = np.array([[5.2], [4.6]]), np.array([0.3, 0.8])  # both 0 when rounded
    assert group(tags, scores, 1.0, 30).members[0, :2].tolist() == [0, 1]


def test_nothing_groups_to_nobody():
    assert group([np.zeros((0, 1))] * 17, [np.zeros(0)] * 17, 1.0, 30).members.shape == (0, 17)


@pytest.mark.parametrize("seed", range(4))
def test_missing_joints_are_where_heat_minus_rounded_tag_distance_is_largest(seed):
    random = np.random.default_rng(seed)
    people = hide(random, crowd(random, 4, CELLS), 0.15)
    maps = rendered(people, noise=0.02, seed=seed)
    before = decode(**maps, placement=PLACEMENT, settings=EmbeddingSettings(refine=False))
    after = decode(**maps, placement=PLACEMENT)
    assert len(before) == len(after) == 4
    filled = 0
    for one, other in zip(before, after, strict=True):
        assert one.score == other.score  # what is guessed adds no score
        scaled = [cv2.resize(tag, PIXELS, interpolation=cv2.INTER_LINEAR) for tag in maps["tags"]]
        has = [joint for joint, part in enumerate(FROM_COCO) if one.found[part]]
        at = [np.rint(one.keypoints[FROM_COCO[joint], :2]).astype(int) for joint in has]
        mean = np.mean([scaled[joint][y, x] for joint, (x, y) in zip(has, at, strict=True)])
        for joint in set(range(17)) - set(has):
            heat = cv2.resize(maps["heatmaps"][joint], PIXELS, interpolation=cv2.INTER_CUBIC)
            value = heat - np.round(np.abs(scaled[joint] - mean))
            y, x = np.unravel_index(value.argmax(), value.shape)
            found = other.keypoints[FROM_COCO[joint]]
            assert np.abs(found[:2] - (x, y)).max() <= 0.25
            assert found[2] == pytest.approx(heat[y, x])
            filled += 1
        for joint in has:
            np.testing.assert_array_equal(one.keypoints[FROM_COCO[joint]], other.keypoints[FROM_COCO[joint]])
    assert filled


def test_a_joint_moves_a_quarter_pixel_towards_the_higher_neighbour():
    heat = np.zeros((17, 9, 9), np.float32)
    heat[:, 4, 4], heat[:, 4, 5], heat[:, 3, 4] = 1.0, 0.5, 0.4
    size = Placement((9, 9), (9, 9), (9, 9))
    (person,) = decode(heat, np.zeros_like(heat), size)
    assert person.keypoints[0].tolist() == [4.25, 3.75, 1.0]


def test_tags_of_two_dimensions_and_of_another_resolution():
    people = crowd(np.random.default_rng(1), 6, CELLS)
    maps = rendered(people)
    # The first dimension tells nobody apart, and tags are twice as coarse, as HigherHRNet's are.
    coarse = np.stack([cv2.resize(tag, (23, 23), interpolation=cv2.INTER_NEAREST) for tag in maps["tags"]])
    tags = np.stack([np.zeros_like(coarse), coarse], axis=1)
    assert compare(decode(maps["heatmaps"], tags, PLACEMENT), in_pixels(people), tolerance=2.0).whole == 6


def test_people_of_one_tag_are_not_told_apart():
    people = crowd(np.random.default_rng(2), 2, CELLS)
    maps = rendered(people)
    found = decode(maps["heatmaps"], np.full_like(maps["tags"], TAG_STEP), PLACEMENT)
    assert len(found) == 2


def test_a_few_peaks_are_no_person_unless_asked():
    people = np.full((1, 18, 2), np.nan)
    people[0, [2, 5]] = [(20, 20), (26, 20)]
    maps = rendered(people)
    assert decode(**maps, placement=PLACEMENT) == []
    (person,) = decode(**maps, placement=PLACEMENT, settings=EmbeddingSettings(least_keypoints=1))
    assert person.count == 3  # the shoulders, and the neck between them


def test_only_so_many_people_are_grouped():
    people = crowd(np.random.default_rng(3), 40, CELLS)
    maps = rendered(people)
    assert len(decode(**maps, placement=PLACEMENT)) <= 30
    found = decode(**maps, placement=PLACEMENT, settings=EmbeddingSettings(most_people=60))
    assert compare(found, in_pixels(people), tolerance=4.0).whole == 40


def test_an_input_too_large_to_be_upsampled_is_refused():
    maps = rendered(np.zeros((0, 18, 2)))
    with pytest.raises(UsageError, match="4194304 pixels"):
        decode(**maps, placement=Placement((4000, 4000), (4000, 4000), (4000, 4000)))


def test_maxima_are_the_highest_of_their_neighbourhood():
    random = np.random.default_rng(0)
    values = random.random((31, 27)).astype(np.float32)
    found = local_maxima(values, 5, 0.3, 1000)
    expected = {
        (y, x)
        for y, x in np.ndindex(*values.shape)
        if values[y, x] > 0.3 and values[y, x] == values[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].max()
    }
    assert set(zip(found.row.tolist(), found.column.tolist(), strict=True)) == expected
    assert (np.diff(found.score) <= 0).all()
    assert len(local_maxima(values, 5, 0.3, 3)) == 3


def test_a_plateau_is_one_maximum():
    values = np.zeros((20, 20), np.float32)
    values[3:9, 4:12] = 0.7
    values[15, 15] = 0.5
    found = local_maxima(values, 5, 0.1, 30)
    assert list(zip(found.row.tolist(), found.column.tolist(), strict=True)) == [(3, 4), (15, 15)]
    assert len(local_maxima(np.ones((4, 4), np.float32), 5, 0.1, 30)) == 0
