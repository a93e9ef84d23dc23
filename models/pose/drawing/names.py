"""Names of joints on a picture, beside them, where they hide neither a joint nor each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.pose.drawing.shapes import bgr, outlined, text_width
from models.pose.person import Person
from models.pose.skeleton import PARTS

_INK, _PAPER = bgr("1a1512"), bgr("ffffff")
#: Height of capitals over the picture's shorter side; the least, in pixels.
_TO_PICTURE, _LEAST = 0.015, 7
#: Who is not so many capitals high has no names.
_SMALL = 20
_NECK = PARTS.index("neck")


def draw_names(canvas: np.ndarray, people: Sequence[Person]) -> None:
    """Write the name of each joint at the side of it that is away from the body, else where there is room, or not.

    Args:
        canvas: (H, W, 3) uint8 BGR, drawn on.
        people: in the canvas's pixels; the surest ones' names are placed first.
    """
    capitals = round(max(_LEAST, _TO_PICTURE * min(canvas.shape[:2])))
    people = sorted((person for person in people if person.found.any()), key=lambda person: -person.score)
    joints = np.concatenate([np.empty((0, 2)), *(person.keypoints[person.found, :2] for person in people)])
    placed: list[np.ndarray] = []
    for person in people:
        left, top, right, bottom = person.box
        if max(right - left, bottom - top) < _SMALL * capitals:
            continue
        for part in np.flatnonzero(person.found).tolist():
            text, (x, y) = PARTS[part].replace("_", " "), person.keypoints[part, :2].tolist()
            size = np.array((text_width(text, capitals), 1.3 * capitals))
            for corner in _corners(x, y, size, capitals, leftwards=x < (left + right) / 2, below=part == _NECK):
                box = np.round([*corner, *(corner + size)])
                if _free(box, canvas.shape[:2], joints, placed):
                    placed.append(box)
                    outlined(canvas, text, int(box[0]), int(box[1]), capitals, _PAPER, _INK)
                    break


def _corners(x: float, y: float, size: np.ndarray, capitals: int, leftwards: bool, below: bool) -> np.ndarray:
    """(4, 2) left top corners of a text by a joint at (x, y), the preferred one first."""
    wide, high = size.tolist()
    sides = [(x - 1.1 * capitals - wide, y - capitals / 2), (x + 1.1 * capitals, y - capitals / 2)]
    across = [(x - wide / 2, y + capitals), (x - wide / 2, y - capitals - high)]
    ordered = sides if leftwards else sides[::-1]
    return np.array(across + ordered if below else ordered + across)


def _free(box: np.ndarray, size: tuple[int, ...], joints: np.ndarray, placed: Sequence[np.ndarray]) -> bool:
    """Whether a (left, top, right, bottom) lies in the picture, and on no joint and no name."""
    inside = (box[:2] >= 1).all() and box[2] < size[1] - 1 and box[3] < size[0] - 1
    on_joint = ((joints > box[:2] - 2) & (joints < box[2:] + 2)).all(axis=1).any()
    on_name = any((box[:2] < other[2:] + 2).all() and (other[:2] < box[2:] + 2).all() for other in placed)
    return bool(inside and not on_joint and not on_name)
