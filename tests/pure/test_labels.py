"""Labels of people: readable on anything, within the picture, apart from each other."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.synthetic_people import STANDING
from models.pose.drawing.draw import draw_people
from models.pose.drawing.labels import Label, draw_labels, identity_colour
from models.pose.drawing.shapes import text_width, write
from models.pose.person import Person


def standing(left=100.0, top=60.0, height=200.0, confidence=0.9, identity=None):
    keypoints = np.column_stack([STANDING * height + (left, top), np.full(len(STANDING), confidence)])
    return Person(keypoints, 20 * confidence, identity)


def luminance(bgr):
    """Relative luminance of WCAG 2.1, 0 to 1."""
    linear = np.asarray(bgr, float)[..., ::-1] / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def boxes(people, shape=(480, 640)):
    """(left, top, right, bottom) of every label drawn, found by drawing each on black without the others' pixels."""
    canvas = np.zeros((*shape, 3), np.uint8)
    found = []
    for count in range(1, len(people) + 1):
        drawn = np.zeros_like(canvas)
        draw_labels(drawn, people[:count])
        rows, columns = np.nonzero((drawn != canvas).any(axis=2))
        found.append((columns.min(), rows.min(), columns.max(), rows.max()))
        canvas = drawn
    return found


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("identity", [3, 128])
def test_label_digits_contrast_with_the_pill_and_the_pill_with_the_picture(grey, identity):
    canvas = np.full((60, 200, 3), grey, np.uint8)
    label = Label(identity, 14)
    label.draw(canvas, 20, 20)
    inside = luminance(canvas[20 : 20 + label.height, 20 : 20 + label.width])
    assert (inside.max() + 0.05) / (inside.min() + 0.05) > 7
    rim = luminance(canvas[18:20, 30:40]).min(), inside.max()
    assert max(abs(level - luminance(np.full(3, grey))) for level in rim) > 0.1


def test_every_identity_s_colour_is_light_enough_for_dark_digits_and_unlike_the_next():
    colours = [identity_colour(identity) for identity in range(1, 26)]
    assert all((luminance(colour) + 0.05) / (luminance([28, 22, 18]) + 0.05) > 7 for colour in colours)
    assert all(np.abs(one - other).max() > 60 for one, other in pairwise(colours))
    assert len({tuple(colour) for colour in colours[:12]}) == 12


def test_label_is_below_the_feet():
    left, top, right, _ = boxes([standing(300, 100, identity=1)])[0]
    assert abs((left + right) / 2 - 300) < 6
    assert 300 - 6 < top < 300 + 0.1 * 200


def test_label_is_at_the_hips_where_the_feet_are_at_the_edge():
    left, top, right, bottom = boxes([standing(300, 280, identity=1)])[0]
    assert abs((top + bottom) / 2 - (280 + 0.52 * 200)) < 3
    assert abs((left + right) / 2 - 300) < 3


@pytest.mark.parametrize("gone", [range(0), range(2, 14), [*range(1, 14)], [*range(8, 14)]])
def test_label_is_not_on_the_face(gone):
    person = standing(300, 200, 900, identity=1)
    keypoints = person.keypoints.copy()
    keypoints[list(gone)] = np.nan, np.nan, 0
    left, top, right, bottom = boxes([Person(keypoints, 1.0, 1)])[0]
    eyes = (person.keypoints[14:18, 0].min(), person.keypoints[14:18, 1].min())
    assert (
        right < eyes[0] or left > person.keypoints[14:18, 0].max() or top > person.keypoints[0, 1] or bottom < eyes[1]
    )


def test_label_stays_off_the_heads_of_others():
    drawn = np.zeros((480, 640, 3), np.uint8)
    below = standing(300, 215)
    draw_labels(drawn, [standing(300, 20, identity=1), below])
    x, y = below.keypoints[0, :2].astype(int)
    assert drawn.any()
    assert not drawn[y - 5 : y + 6, x - 5 : x + 6].any()


@pytest.mark.parametrize(("left", "top"), [(0, 0), (640, 470), (-30, 300), (320, -100), (655, -60)])
def test_a_label_is_within_the_picture(left, top):
    drawn = np.zeros((480, 640, 3), np.uint8)
    label = Label(7, 9)
    draw_labels(drawn, [standing(left, top, identity=7)])
    assert (drawn.any(axis=2)).sum() > 0.9 * label.width * label.height


def test_who_is_outside_has_no_label():
    drawn = np.zeros((480, 640, 3), np.uint8)
    draw_labels(drawn, [standing(2000, 60, identity=1), standing(-500, 60, identity=2), standing(300, 1e9, identity=3)])
    assert not drawn.any()


def test_labels_of_neighbours_do_not_hide_each_other():
    people = [standing(200 + 12 * number, identity=number + 1) for number in range(4)]
    found = boxes(people)
    label = Label(1, 9)
    for width, height in ((right - left, bottom - top) for left, top, right, bottom in found):
        assert width >= label.width - 2
        assert height >= label.height - 2


def test_small_people_and_photographs_have_no_labels():
    drawn = np.zeros((480, 640, 3), np.uint8)
    draw_labels(drawn, [standing(300, 100, 20, identity=1), standing(100)])
    assert not drawn.any()


def test_who_has_no_identity_yet_has_no_label_beside_those_who_have():
    one, ghost = standing(150, identity=1), standing(450)
    drawn = np.zeros((2, 480, 640, 3), np.uint8)
    draw_labels(drawn[0], [one])
    draw_labels(drawn[1], [ghost, one])
    assert (drawn[0] == drawn[1]).all()


def test_labels_grow_with_the_picture():
    sizes = []
    for scale in (1, 3):
        left, top, right, bottom = boxes(
            [standing(300 * scale, 100 * scale, 200 * scale, identity=1)], (480 * scale, 640 * scale)
        )[0]
        sizes.append(((right - left), (bottom - top)))
    assert all(2.5 < large / small < 3.5 for small, large in zip(*sizes, strict=True))


def test_who_is_unsure_is_labelled_faintly():
    sure, unsure = np.full((2, 480, 640, 3), 128, np.uint8)
    draw_labels(sure, [standing(confidence=0.8, identity=4)])
    draw_labels(unsure, [standing(confidence=0.1, identity=4)])
    assert 0 < np.abs(unsure.astype(int) - 128).sum() < 0.8 * np.abs(sure.astype(int) - 128).sum()


def test_labels_of_nobody_change_nothing():
    canvas = np.zeros((20, 20, 3), np.uint8)
    keypoints = np.full((18, 3), np.nan)
    keypoints[:, 2] = 0
    draw_labels(canvas, [Person(keypoints, 0.0, 1)])
    draw_labels(canvas, [])
    assert not canvas.any()


def test_labels_fit_a_picture_smaller_than_they_are():
    image = np.zeros((6, 5, 3), np.uint8)
    assert draw_people(image, [standing(2, -50, identity=123)]).shape == image.shape


@pytest.mark.parametrize("place", [(-5, 3), (3, -5), (18, 17), (-500, 0), (0, 500)])
def test_label_text_is_clipped(place):
    canvas = np.zeros((20, 20, 3), np.uint8)
    write(canvas, "0.87", *place, 10, np.full(3, 255, np.float32))
    assert canvas.shape == (20, 20, 3)
    assert text_width("0.87", 10) > text_width("0.8", 10) > 10
