"""Views move photograph, keypoints and regions by one and the same map."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from models.pose.skeleton import PARTS
from models.train.data.annotations import Labels
from models.train.data.augmentation import MIRRORED, PERSON_HEIGHT, PROTOCOL_HEIGHT, View, draw_view
from models.train.settings import Augmentation

GREY = (128.0, 128.0, 128.0)
SIDE = 160
PLAIN = Augmentation(scale=(1, 1), photograph_scale=(1, 1), rotation=0, shift=0, flip=0, colour=0)


def labels_of(people, size, ignored=()):
    boxes = [[*np.nanmin(p, axis=0), *(np.nanmax(p, axis=0) - np.nanmin(p, axis=0))] for p in people]
    return Labels(np.asarray(people, float), np.asarray(boxes, float), tuple(ignored), size)


def scattered(seed, size, height=70.0):
    """One person of `height` pixels whose 18 joints lie anywhere in its box."""
    random = np.random.default_rng(seed)
    joints = random.uniform((0, 0), (60, height), (18, 2))
    joints[0], joints[1] = (0, 0), (60, height)
    return joints + random.uniform((20, 10), (size[1] - 90, size[0] - height - 10))


def with_spots(size, joints):
    """(H, W, 18) uint8: for each joint a black photograph with a white blob about it."""
    y, x = np.mgrid[: size[0], : size[1]]
    squared = (x[..., None] - joints[:, 0]) ** 2 + (y[..., None] - joints[:, 1]) ** 2
    return np.clip(255 * np.exp(-squared / 8), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_keypoints_stay_on_what_they_mark(seed):
    """Each joint's blob is found, in the view, where the moved keypoint of the same part, or its mirror image, is."""
    size = (170, 260)
    joints = scattered(seed, size)
    view = draw_view(np.random.default_rng(seed), size, SIDE, Augmentation(colour=0), labels_of([joints], size))
    moved = view.people(joints[None])[0]
    blobs = with_spots(size, joints)
    seen = 0
    for part in range(18):
        picture = np.repeat(blobs[..., part : part + 1], 3, axis=2)
        warped = view.image(picture, (0.0, 0.0, 0.0))[..., 0].astype(float)
        here = moved[MIRRORED[part]] if view.mirrored else moved[part]
        if np.isnan(here[0]) or min(*here, *(SIDE - 1 - here)) < 8 * view.scale:
            continue
        y, x = np.mgrid[:SIDE, :SIDE]
        found = np.array([(warped * x).sum(), (warped * y).sum()]) / warped.sum()
        np.testing.assert_allclose(found, here, atol=0.35)
        seen += 1
    assert seen >= 3


def test_mirror_swaps_sides():
    names = [PARTS[part] for part in MIRRORED]
    assert names[PARTS.index("left_wrist")] == "right_wrist"
    assert names[PARTS.index("right_ear")] == "left_ear"
    assert names[PARTS.index("nose")] == "nose"
    assert names[PARTS.index("neck")] == "neck"
    assert [MIRRORED[MIRRORED[part]] for part in range(18)] == list(range(18))


def test_a_mirrored_person_has_its_right_hand_on_the_other_side():
    people = np.full((1, 18, 2), np.nan)
    people[0, PARTS.index("right_wrist")] = (10, 50)
    view = View(np.array([[-1.0, 0, 99], [0, 1, 0]]), 100, mirrored=True)
    moved = view.people(people)[0]
    np.testing.assert_allclose(moved[PARTS.index("left_wrist")], (89, 50))
    assert np.isnan(moved[PARTS.index("right_wrist")]).all()


def test_view_drops_keypoints_outside_the_crop():
    view = View(np.array([[1.0, 0, 0], [0, 1, 0]]), 50)
    people = np.full((1, 18, 2), 20.0)
    people[0, 3], people[0, 4], people[0, 5] = (49.4, 0), (49.6, 0), (3, -0.6)
    gone = np.isnan(view.people(people)[0]).all(axis=1)
    assert gone.tolist() == [number in (4, 5) for number in range(18)]


@pytest.mark.parametrize("size", [(170, 260), (900, 1400)])
def test_crowds_are_ignored_where_they_are_seen(size):
    """The covered cells are those of a white patch painted where the region is; in large photographs, too."""
    height, width = size
    box = np.array([0.3 * width, 0.2 * height, 0.3 * width, 0.45 * height])
    region = coco_mask.frPyObjects(box[None], height, width)[0]
    person = box[:2] + np.random.default_rng(0).uniform(0, 1, (18, 2)) * box[2:]
    labels = labels_of([person], size, [region])
    mask = labels.ignored_mask()
    for seed in range(5):
        view = draw_view(np.random.default_rng(seed), size, SIDE, Augmentation(colour=0), labels)
        painted = view.image(np.repeat(255 * mask[..., None], 3, axis=2), (0.0, 0.0, 0.0))[..., 0]
        wanted = cv2.resize(painted, (20, 20), interpolation=cv2.INTER_AREA) / 255.0
        covered = view.cell_coverage(mask, 20)
        assert covered.max() > 0.9
        np.testing.assert_allclose(covered, wanted, atol=0.06)


def test_view_without_crowds_covers_nothing():
    labels = labels_of([scattered(0, (170, 260))], (170, 260))
    assert not labels.ignored_mask().any()
    assert labels.ignored_mask().shape == (170, 260)


def test_people_have_the_recipes_height():
    size = (400, 600)
    person = scattered(0, size, height=120.0)
    view = draw_view(np.random.default_rng(0), size, SIDE, PLAIN, labels_of([person], size))
    assert view.scale == pytest.approx(PERSON_HEIGHT * PROTOCOL_HEIGHT / 120, rel=1e-6)
    middle = (person.min(axis=0) + person.max(axis=0)) / 2
    np.testing.assert_allclose(view.matrix[:, :2] @ middle + view.matrix[:, 2], (SIDE - 1) / 2)


def test_photographs_without_people_fill_the_view():
    """No padding shows where the photograph, scaled to 368 rows, is larger than the crop."""
    white = np.full((300, 500, 3), 255, np.uint8)
    for seed in range(5):
        view = draw_view(np.random.default_rng(seed), (300, 500), 256, PLAIN)
        assert (view.image(white, (0.0, 0.0, 0.0))[1:-1, 1:-1] == 255).all()


def test_small_photographs_are_padded():
    view = draw_view(np.random.default_rng(0), (300, 300), 512, PLAIN)
    image = view.image(np.zeros((300, 300, 3), np.uint8), GREY)
    assert (image[0, 0] == 128).all()
    assert (image[256, 256] == 0).all()


def test_colours_change_and_padding_does_not():
    photograph = np.random.default_rng(0).integers(0, 256, (100, 100, 3)).astype(np.uint8)
    colourful = Augmentation(scale=(1, 1), photograph_scale=(0.5, 0.5), rotation=0, flip=0, colour=0.5)
    view = draw_view(np.random.default_rng(1), (100, 100), 256, colourful)
    image = view.image(photograph, GREY)
    assert (image[:10, :10] == 128).all()
    plain = View(view.matrix, view.side, view.mirrored).image(photograph, GREY)
    assert np.abs(image.astype(int) - plain).max() > 20


def test_view_scales_to_a_smaller_side():
    """A keypoint stays at the same fraction of the view, counted from corner to corner."""
    size = (170, 260)
    person = scattered(3, size)
    view = draw_view(np.random.default_rng(3), size, SIDE, Augmentation(), labels_of([person], size))
    small = view.at(SIDE // 4)
    assert small.scale == pytest.approx(view.scale / 4)
    large, moved = view.people(person[None]), small.people(person[None])
    np.testing.assert_allclose((moved + 0.5) * 4 - 0.5, large, atol=1e-9)
    assert small.mirrored == view.mirrored
    assert small.colours is view.colours
