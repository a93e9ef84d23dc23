"""Labels of people on a picture: who it is, as a number in a colour of its own, at the feet or the hips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.pose.drawing.shapes import bgr, capsule, fill, text_width, write
from models.pose.person import Person
from models.pose.skeleton import PARTS

#: RRGGBB of identities, in turn; neighbours differ, and all are light enough for dark digits.
_IDENTITY_COLOURS = (
    *("ffd23f", "5cc8ff", "ff8fb1", "8ee35f", "c9a7ff", "ffa75c"),
    *("4fe0c4", "f5f0e6", "ff8a80", "b9d8ff", "dfe35a", "f0a6f5"),
)
_INK = bgr("1c1612")
#: Height of digits over the picture's shorter side and over the person; the least, in pixels.
_TO_PICTURE, _TO_PERSON, _LEAST = 0.024, 0.08, 7
#: Who is not so many labels high has none.
_SMALL = 2.0
_HIPS = [PARTS.index("right_hip"), PARTS.index("left_hip")]
_HEAD = [PARTS.index(name) for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear", "neck")]
Box = tuple[float, float, float, float]


def identity_colour(identity: int) -> np.ndarray:
    """(3,) float32 BGR of an identity's label; the same for the same identity, always."""
    return bgr(_IDENTITY_COLOURS[(identity - 1) % len(_IDENTITY_COLOURS)])


@dataclass(frozen=True)
class Label:
    """A pill that shows an identity; sizes in whole pixels.

    digits: their height. opacity: 0 to 1, of all of it.
    """

    identity: int
    digits: int
    opacity: float = 1.0

    @property
    def height(self) -> int:
        return self.digits + 2 * round(0.5 * self.digits)

    @property
    def width(self) -> int:
        return max(self.height, text_width(str(self.identity), self.digits) + 2 * round(0.6 * self.digits))

    def draw(self, canvas: np.ndarray, left: int, top: int) -> None:
        """Onto (H, W, 3) uint8 BGR. The pill is light with a dark rim, so that it is seen on dark and on light."""
        text, rim = str(self.identity), max(1.0, 0.12 * self.digits)
        around = _pill(left - rim, top - rim, self.width + 2 * rim, self.height + 2 * rim)
        fill(canvas, around, _INK, 0.8 * self.opacity)
        fill(canvas, _pill(left, top, self.width, self.height), identity_colour(self.identity), self.opacity)
        inside = top + (self.height - self.digits) // 2
        write(canvas, text, left + (self.width - text_width(text, self.digits)) // 2, inside, self.digits, _INK)


def _pill(left: float, top: float, width: float, height: float) -> np.ndarray:
    half = height / 2
    middle, ends = top + half - 0.5, (left + half - 0.5, left + max(width, height) - half - 0.5)
    return capsule(np.array([ends[0], middle]), np.array([ends[1], middle]), half)


def draw_labels(canvas: np.ndarray, people: Sequence[Person]) -> None:
    """A label for everyone who has an identity and keypoints in the picture, where it hides no head and no other label.

    People not much larger than a label have none; who is unsure is labelled faintly.

    Args:
        canvas: (H, W, 3) uint8 BGR, drawn on.
        people: in the canvas's pixels; the first ones' labels are placed first.
    """
    height, width = canvas.shape[:2]
    taken = [_head(person) for person in people if person.found.any()]
    for person in people:
        if person.identity is None or not person.found.any():
            continue
        left, top, right, bottom = person.box
        if left > width or right < 0 or top > height or bottom < 0:
            continue
        digits = round(max(_LEAST, min(_TO_PICTURE * min(height, width), _TO_PERSON * person.stature)))
        label = Label(person.identity, digits, float(np.clip(0.5 + person.confidence, 0.6, 1)))
        if max(right - left, bottom - top) >= _SMALL * label.height:
            place = _place(label, person, canvas.shape[:2], taken)
            taken.append((*place, label.width, label.height))
            label.draw(canvas, *place)


def _place(label: Label, person: Person, size: tuple[int, ...], taken: Sequence[Box]) -> tuple[int, int]:
    """(left, top) within the picture: below the feet if there is room, else between or beside the hips."""
    left, _, right, bottom = person.box
    _, head, _, head_height = _head(person)
    bottom = max(bottom, head + head_height)
    wide, high, gap = label.width, label.height, 0.6 * label.height
    hips = person.keypoints[_HIPS, :2]
    known = not np.isnan(hips).any()
    x, y = hips.mean(axis=0).tolist() if known else ((left + right) / 2, bottom - high)
    wanted = [(x - wide / 2, bottom + gap), (x - wide / 2, y - high / 2)]
    wanted += [(side, y - high / 2) for side in (right + gap, left - gap - wide)]
    wanted.append((x - wide / 2, bottom + gap + 1.3 * high))
    best, least = (0, 0), np.inf
    for corner in wanted:
        place = _within(corner[0], size[1] - wide), _within(corner[1], size[0] - high)
        pushed = float(min(np.hypot(place[0] - corner[0], place[1] - corner[1]), 1e6)) / high
        cost = pushed + 4 * sum(_overlap((*place, wide, high), other) for other in taken) / (wide * high)
        if cost < least - 0.25:
            best, least = place, cost
    return best


def _within(value: float, last: int) -> int:
    return round(float(np.clip(value, 0, max(0, last))))


def _head(person: Person) -> Box:
    """(left, top, width, height) about the head; nothing, at the corner of the picture, of a person without one."""
    xy = person.keypoints[_HEAD, :2]
    xy = xy[~np.isnan(xy[:, 0])]
    if not len(xy):
        return 0.0, 0.0, 0.0, 0.0
    (left, top), (right, bottom) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
    size = max(right - left, bottom - top)
    below = 0.0 if person.found[_HEAD[-1]] else size  # the neck is the head's end
    return (left + right) / 2 - 0.6 * size, top - size / 2, 1.2 * size, bottom - top + size / 2 + below


def _overlap(box: Box, other: Box) -> float:
    """Square pixels that two (left, top, width, height) share."""
    wide = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    high = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    return max(0.0, wide) * max(0.0, high)
