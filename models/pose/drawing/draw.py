"""People drawn on a picture: limbs, joints, and on demand identities and the names of joints.

Warm colours are a person's right side, cool ones the left side, near white the trunk and the head. Of what the network
is unsure of, lines are thinner and let the picture through. A person's lines are blended into the picture at one go, so
that limbs that meet are not cut apart and no outline shows through a faint limb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fleetpose.errors import UsageError
from fleetpose.files import write_bytes
from models.pose.drawing.labels import draw_labels
from models.pose.drawing.names import draw_names
from models.pose.drawing.shapes import Overlay, bgr, capsule
from models.pose.person import Person
from models.pose.skeleton import LIMBS, PARTS, TREE_LIMBS

#: RRGGBB of a limb by the part that it ends in; all others are of the trunk and the head
_COLOURS = {
    **dict.fromkeys(("right_elbow", "right_wrist"), "ffa41b"),
    **dict.fromkeys(("right_knee", "right_ankle"), "ff6a3d"),
    **dict.fromkeys(("left_elbow", "left_wrist"), "35c7ff"),
    **dict.fromkeys(("left_knee", "left_ankle"), "4d86ff"),
}
_TRUNK, _OUTLINE = "f4f1ea", "1a1512"
_OUTLINE_OPACITY = 0.7
#: A limb's half width over the person's height; the least and most it may be over the picture's shorter side.
_HALF_WIDTH, _THINNEST, _THICKEST = 0.0095, 0.0016, 0.0085
#: half width in pixels from which joints, and the face, are worth drawing
_WITH_JOINTS, _WITH_FACE = 1.1, 1.3
#: Keypoint score at which a limb is faintest, and from which it is opaque; then its opacity and relative width.
_FAINT, _SURE, _LEAST_OPACITY, _LEAST_WIDTH = 0.1, 0.5, 0.4, 0.6
#: Suffix -> the pixels of a side that its format, or the library behind it, takes.
LONGEST_SIDES = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500, ".png": 1_000_000}
_NECK, _NOSE = PARTS.index("neck"), PARTS.index("nose")
_FACE = frozenset(map(PARTS.index, ("right_eye", "left_eye", "right_ear", "left_ear")))


def check_picture(path: Path, size: Sequence[int]) -> None:
    """Raise UsageError for a picture of (height, width) that is too large for the format of the path's suffix."""
    most, height, width = LONGEST_SIDES.get(path.suffix.lower(), max(size)), size[0], size[1]
    if max(size) > most:
        other = "a .png" if max(size) <= LONGEST_SIDES[".png"] else "a smaller picture"
        raise UsageError(
            f"cannot write {path}: a {path.suffix} has at most {most} pixels a side, and the picture is "
            f"{width} x {height}; give {other}"
        )


def write_picture(path: Path, picture: np.ndarray, force: bool = False) -> None:
    """Encode (H, W, 3) uint8 BGR by the path's suffix. Raises UsageError for one OpenCV does not write."""
    check_picture(path, picture.shape[:2])
    try:
        encoded, content = cv2.imencode(path.suffix, picture)  # into memory: of a full disk it says nothing
    except cv2.error as error:
        raise UsageError(f"cannot write {path}: {error.err or error}") from error
    if not encoded:
        raise UsageError(f"cannot write {path}")
    write_bytes(path, content.tobytes(), force=force)


def draw_people(image: np.ndarray, people: Sequence[Person], labels: bool = True, names: bool = False) -> np.ndarray:
    """A copy of `image` with every person's limbs and joints drawn, the surest person on top.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        people: in the image's pixels. What lies beyond the image is clipped, keypoints not found are left out.
        labels: write the identities of people who have one, at their feet or hips.
        names: write the names of joints beside them, where there is room.

    Raises:
        UsageError: `image` is not (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
    canvas = image.copy()
    for person in sorted(people, key=lambda person: person.score):
        if person.found.any():
            _draw_person(canvas, person)
    if names:
        draw_names(canvas, people)
    if labels:
        draw_labels(canvas, sorted(people, key=lambda person: -person.score))
    return canvas


@dataclass(frozen=True)
class _Stroke:
    """A limb or joint: its outline's corners follow from both ends, half the width, and how opaque it is."""

    start: np.ndarray
    end: np.ndarray
    half: float
    colour: np.ndarray
    opacity: float


def _draw_person(canvas: np.ndarray, person: Person) -> None:
    shorter = min(canvas.shape[:2])
    half = float(np.clip(_HALF_WIDTH * person.stature, _THINNEST * shorter, _THICKEST * shorter))
    half = max(0.8, half)
    strokes = _strokes(person, half)
    border = max(0.6, 0.3 * half)
    layer = Overlay(canvas, person.box, 2 * half + border)
    for stroke in strokes:
        shape = capsule(stroke.start, stroke.end, stroke.half + border)
        layer.fill(shape, bgr(_OUTLINE), _OUTLINE_OPACITY * stroke.opacity)
    for stroke in strokes:
        layer.fill(capsule(stroke.start, stroke.end, stroke.half), stroke.colour, stroke.opacity)
    layer.blend()


def _strokes(person: Person, half: float) -> list[_Stroke]:
    """Limbs, then joints on top of them; faint ones first."""
    xy, scores, present = person.keypoints[:, :2], person.keypoints[:, 2], person.found
    sure = np.clip((scores - _FAINT) / (_SURE - _FAINT), 0, 1)
    limbs, joints = [], []
    for limb in range(TREE_LIMBS):
        start, end = LIMBS[limb]
        if present[start] and present[end] and (end not in _FACE or half >= _WITH_FACE):
            certainty = float(min(sure[start], sure[end]))
            width = half * _width(end) * (_LEAST_WIDTH + (1 - _LEAST_WIDTH) * certainty)
            limbs.append(_Stroke(xy[start], xy[end], width, _colour(end), _opacity(certainty)))
    for part in np.flatnonzero(present).tolist():
        if half >= (_WITH_FACE if part in _FACE else _WITH_JOINTS):
            radius = half * (0.75 if part in _FACE or part == _NOSE else 1.3)
            colour = 0.35 * _colour(part) + 0.65 * 255
            joints.append(_Stroke(xy[part], xy[part], radius, colour, _opacity(float(sure[part]))))
    return sorted(limbs, key=lambda limb: limb.opacity) + joints


def _width(end: int) -> float:
    """Of the limb that ends in a part, over that of an arm: the trunk's are finer, and those of the head fine."""
    if end in _FACE or end == _NOSE:
        return 0.4
    return 1.0 if PARTS[end] in _COLOURS else 0.75


def _opacity(certainty: float) -> float:
    return _LEAST_OPACITY + (1 - _LEAST_OPACITY) * certainty


def _colour(part: int) -> np.ndarray:
    return bgr(_COLOURS.get(PARTS[part], _TRUNK))
