"""Labels of people on a picture: who it is, in a colour of their own, and how sure the network is of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.pose.drawing.shapes import capsule, fill, text_width, write
from models.pose.person import Person
from models.pose.skeleton import PARTS

#: RRGGBB of identities, in turn; neighbours differ, and all are light enough for dark digits.
_IDENTITY_COLOURS = (
    *("ffd23f", "5cc8ff", "ff8fb1", "8ee35f", "c9a7ff", "ffa75c"),
    *("4fe0c4", "f5f0e6", "ff8a80", "b9d8ff", "dfe35a", "f0a6f5"),
)
_INK = np.array([28, 22, 18], np.float32)
_PAPER = np.full(3, 255, np.float32)
#: Height of digits over the picture's shorter side and over the person; the least, in pixels.
_TO_PICTURE, _TO_PERSON, _LEAST = 0.019, 0.055, 8
#: A person is small if not so many labels high.
_SMALL = 3.5
_NOSE, _NECK = PARTS.index("nose"), PARTS.index("neck")
_HEAD = [_NOSE, *(PARTS.index(f"{side}_{part}") for side in ("left", "right") for part in ("eye", "ear"))]


def identity_colour(identity: int) -> np.ndarray:
    """(3,) float32 BGR of an identity's label; the same for the same identity, always."""
    return np.array(list(bytes.fromhex(_IDENTITY_COLOURS[(identity - 1) % len(_IDENTITY_COLOURS)]))[::-1], np.float32)


@dataclass(frozen=True)
class Label:
    """A pill that shows an identity and a confidence, or one of them; sizes in whole pixels.

    digits: their height. opacity: 0 to 1, of all of it.
    """

    identity: int | None
    confidence: float | None
    digits: int
    opacity: float = 1.0

    @property
    def height(self) -> int:
        return self.digits + 2 * round(0.55 * self.digits)

    @property
    def badge(self) -> int:
        """Width of the coloured part with the identity; 0 where there is none."""
        if self.identity is None:
            return 0
        return max(self.height, text_width(str(self.identity), self.digits) + 2 * self._side)

    @property
    def width(self) -> int:
        if self.confidence is None:
            return self.badge
        before = round(0.4 * self.digits) if self.badge else self._side
        return self.badge + before + text_width(self._number, self.digits) + self._side

    @property
    def _side(self) -> int:
        return round(0.75 * self.digits)

    @property
    def _number(self) -> str:
        return "" if self.confidence is None else f"{min(max(self.confidence, 0), 1):.2f}"

    def draw(self, canvas: np.ndarray, left: int, top: int) -> None:
        """Onto (H, W, 3) uint8 BGR. The pill is dark with a light rim, so that it is seen on dark and on light."""
        digits, opacity, inside = self.digits, self.opacity, top + (self.height - self.digits) // 2
        rim = max(1.0, 0.1 * digits)
        around = _pill(left - rim, top - rim, self.width + 2 * rim, self.height + 2 * rim)
        fill(canvas, around, _PAPER if self._number else _INK, 0.45 * opacity)
        fill(canvas, _pill(left, top, self.width, self.height), _INK, 0.92 * opacity)
        if self.identity is not None:
            fill(canvas, _pill(left, top, self.badge, self.height), identity_colour(self.identity), opacity)
            text = str(self.identity)
            write(canvas, text, left + (self.badge - text_width(text, digits)) // 2, inside, digits, _INK)
        if self._number:
            right = left + self.width - self._side
            write(canvas, self._number, right - text_width(self._number, digits), inside, digits, _PAPER)


def _pill(left: float, top: float, width: float, height: float) -> np.ndarray:
    half = height / 2
    middle, ends = top + half - 0.5, (left + half - 0.5, left + max(width, height) - half - 0.5)
    return capsule(np.array([ends[0], middle]), np.array([ends[1], middle]), half)


def draw_labels(canvas: np.ndarray, people: Sequence[Person]) -> None:
    """A label for everyone who has keypoints, above the head; beside or below it where there is more room.

    People not much larger than a label have only their identity shown, or nothing; who is unsure is labelled faintly.
    Where some have identities, who has none yet (`track`) has no label.

    Args:
        canvas: (H, W, 3) uint8 BGR, drawn on.
        people: in the canvas's pixels; the first ones' labels are placed first.
    """
    height, width = canvas.shape[:2]
    placed: list[tuple[int, int, int, int]] = []
    named = any(person.identity is not None for person in people)
    for person in people:
        if not person.found.any() or (named and person.identity is None):
            continue
        left, top, right, bottom = person.box
        if left > width or right < 0 or top > height or bottom < 0:
            continue
        size = max(right - left, bottom - top)
        digits = round(max(_LEAST, min(_TO_PICTURE * min(height, width), _TO_PERSON * size)))
        label = Label(person.identity, person.confidence, digits, _opacity(person.confidence))
        if size < _SMALL * label.height:
            label = replace(label, confidence=None)
        if not label.width:
            continue
        place = _place(label, person, canvas.shape[:2], placed)
        placed.append((*place, label.width, label.height))
        label.draw(canvas, *place)


def _opacity(confidence: float) -> float:
    """Half at no confidence, whole from 0.5."""
    return float(np.clip(0.5 + confidence, 0.5, 1))


def _place(
    label: Label, person: Person, size: tuple[int, ...], placed: list[tuple[int, int, int, int]]
) -> tuple[int, int]:
    """(left, top) within the picture: of several places the one that hides least of other labels, best first."""
    x, crown, chin = _head(person)
    left, _, right, bottom = person.box
    gap = label.height // 2
    wide, high = label.width, label.height
    beside = (crown + chin) / 2 - high / 2
    reach = 0.6 * (chin - crown) + gap
    wanted = [(x - wide / 2, crown - gap - high)]
    wanted += [(x + reach, beside), (x - reach - wide, beside)]
    wanted += [(x - wide / 2, crown - gap - 2.3 * high), ((left + right - wide) / 2, bottom + gap)]
    best, least = (0, 0), np.inf
    for corner in wanted:
        place = _within(corner[0], size[1] - wide), _within(corner[1], size[0] - high)
        pushed = float(min(np.hypot(place[0] - corner[0], place[1] - corner[1]), 1e6)) / high
        cost = pushed + 4 * sum(_overlap((*place, wide, high), other) for other in placed) / (wide * high)
        if cost < least - 0.25:
            best, least = place, cost
    return best


def _within(value: float, last: int) -> int:
    return round(float(np.clip(value, 0, max(0, last))))


def _head(person: Person) -> tuple[float, float, float]:
    """x of the middle of the head, and y of its top and of the chin; guessed from what is found."""
    xy, present = person.keypoints[:, :2], person.found
    left, top, right, bottom = person.box
    if present[_NOSE] and present[_NECK]:
        # From the nose to the crown, hair and hats included, it is about as far as to the neck.
        reach = float(np.hypot(*(xy[_NOSE] - xy[_NECK])))
        head, nose = xy[_HEAD][present[_HEAD]], float(xy[_NOSE, 1])
        return float(head[:, 0].mean()), min(float(head[:, 1].min()), nose - 1.05 * reach), nose + 0.4 * reach
    part = next((part for part in (*_HEAD, _NECK) if present[part]), None)
    x = (left + right) / 2 if part is None else float(xy[part, 0])
    size = max(right - left, bottom - top)
    crown = top - 0.06 * size
    return x, crown, crown + 0.14 * size


def _overlap(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> int:
    """Pixels two (left, top, width, height) share."""
    wide = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    high = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    return max(0, wide) * max(0, high)
