"""People drawn on a photograph."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from models.pose.person import Person
from models.pose.skeleton import LIMBS, TREE_LIMBS

#: Limb -> BGR: arms warm, legs cool, head light; the right side yellower and greener, the left redder and bluer.
_COLOURS = (
    (80, 190, 255),
    (120, 110, 255),
    (60, 210, 255),
    (40, 235, 250),
    (110, 80, 250),
    (150, 70, 245),
    (140, 220, 90),
    (150, 235, 60),
    (130, 245, 110),
    (250, 170, 80),
    (255, 140, 70),
    (255, 190, 60),
    (220, 220, 235),
    (230, 200, 245),
    (230, 180, 250),
    (230, 235, 200),
    (235, 240, 170),
)


def draw_people(image: np.ndarray, people: Sequence[Person]) -> np.ndarray:
    """A copy of `image` with every person's limbs and joints drawn.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        people: in the image's pixels. Keypoints beyond the image are clipped away, as are absent ones.
    """
    canvas = image.copy()
    for person in sorted(people, key=lambda each: each.score):
        for limb, (start, end) in enumerate(LIMBS[:TREE_LIMBS]):
            if person.found[start] and person.found[end]:
                a, b = person.keypoints[[start, end], :2]
                cv2.line(canvas, tuple(map(int, a)), tuple(map(int, b)), _COLOURS[limb], 3, cv2.LINE_AA)
    return canvas
