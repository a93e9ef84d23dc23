"""People drawn on a picture: limbs coloured by part, joints, both fading with the network's confidence; labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fleetpose.errors import UsageError
from fleetpose.files import atomic_output
from models.pose.drawing.labels import draw_labels
from models.pose.drawing.shapes import capsule, fill
from models.pose.person import Person
from models.pose.skeleton import LIMBS, PARTS, TREE_LIMBS

#: RRGGBB of each limb: a person's right side warm, left side cool, the head violet; brighter towards hands and feet.
_LIMB_COLOURS = (
    *("ff8f3f", "ff5c8a", "ffb02e", "ffd23f", "f0468f", "d94fc0"),
    *("c6e64b", "9be15d", "5fd068", "4f8cff", "36b5f5", "2fd9e7"),
    *("b892ff", "c9a7ff", "d8bfff", "a58bff", "b9a2ff"),
)
_OUTLINE = np.array([28, 22, 18], np.float32)
#: A limb's half width over the person's size; the least and most it may be, in pixels.
_HALF_WIDTH, _THINNEST, _THICKEST = 0.011, 1.0, 14.0
#: Keypoint score at which a limb is faintest, and from which it is opaque; the faintest opacity.
_FAINT, _SURE, _LEAST_OPACITY = 0.1, 0.6, 0.3
_NECK = PARTS.index("neck")
_HEAD = frozenset(map(PARTS.index, ("nose", "right_eye", "left_eye", "right_ear", "left_ear")))


def write_picture(path: Path, picture: np.ndarray, force: bool = False) -> None:
    """Encode (H, W, 3) uint8 BGR by the path's suffix. Raises UsageError for one OpenCV does not write."""
    with atomic_output(path, force=force) as temporary:
        if not cv2.imwrite(str(temporary), picture):
            raise UsageError(f"cannot write {path}")


def draw_people(image: np.ndarray, people: Sequence[Person], labels: bool = True) -> np.ndarray:
    """A copy of `image` with every person's limbs and joints drawn, the surest person on top.

    Labels say who it is, where people have identities, and give `Person.confidence`.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        people: in the image's pixels. What lies beyond the image is clipped, keypoints not found are left out.

    Raises:
        UsageError: `image` is not (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
    canvas = image.copy()
    for person in sorted(people, key=lambda person: person.score):
        _draw_person(canvas, person)
    if labels:
        draw_labels(canvas, sorted(people, key=lambda person: -person.score))
    return canvas


def _draw_person(canvas: np.ndarray, person: Person) -> None:
    present = person.found
    if not present.any():
        return
    left, top, right, bottom = person.box
    half = float(np.clip(_HALF_WIDTH * max(right - left, bottom - top), _THINNEST, _THICKEST))
    xy, scores = person.keypoints[:, :2], person.keypoints[:, 2]
    limbs = [limb for limb in range(TREE_LIMBS) if present[list(LIMBS[limb])].all()]
    border = max(0.7, 0.35 * half)
    # All outlines lie under all colours, so that limbs that meet are not cut apart.
    for extra, coloured in ((border, False), (0.0, True)):
        for limb in limbs:
            start, end = LIMBS[limb]
            shape = capsule(xy[start], xy[end], half * _relative_width(limb) + extra)
            opacity = _opacity(min(scores[start], scores[end]))
            fill(canvas, shape, _bgr(limb) if coloured else _OUTLINE, opacity if coloured else 0.55 * opacity)
    for part in np.flatnonzero(present).tolist():
        radius = half * (0.8 if part in _HEAD else 1.35)
        opacity = _opacity(scores[part])
        fill(canvas, capsule(xy[part], xy[part], radius + border), _OUTLINE, 0.55 * opacity)
        fill(canvas, capsule(xy[part], xy[part], radius), _joint_colour(part), opacity)


def _relative_width(limb: int) -> float:
    """Limbs of the head are finer."""
    start, end = LIMBS[limb]
    return 0.5 if start in _HEAD and end in _HEAD else 1.0


def _opacity(score: float) -> float:
    sure = np.clip((score - _FAINT) / (_SURE - _FAINT), 0, 1)
    return float(_LEAST_OPACITY + (1 - _LEAST_OPACITY) * sure)


def _bgr(limb: int) -> np.ndarray:
    return np.array(list(bytes.fromhex(_LIMB_COLOURS[limb]))[::-1], np.float32)


def _joint_colour(part: int) -> np.ndarray:
    """The colour of the limb that ends in `part`, halfway to white."""
    if part == _NECK:
        return np.full(3, 255, np.float32)
    limb = next(limb for limb, (_, end) in enumerate(LIMBS) if end == part)
    return 0.45 * _bgr(limb) + 0.55 * 255
