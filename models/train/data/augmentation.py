"""Views of photographs: one drawn affine map that moves image, keypoints and regions alike; NumPy and OpenCV."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from models.pose.skeleton import PARTS
from models.train.data.annotations import Labels
from models.train.settings import Augmentation

#: The height networks of this kind are used at, which sizes of people are relative to (Lightweight OpenPose).
PROTOCOL_HEIGHT = 368
#: The height of a person at scale 1, in PROTOCOL_HEIGHT.
PERSON_HEIGHT = 0.6

_OPPOSITE = {"left": "right", "right": "left"}
#: Part -> the part it is in a mirror.
MIRRORED = tuple(PARTS.index(re.sub("left|right", lambda side: _OPPOSITE[side[0]], part)) for part in PARTS)


@dataclass(frozen=True, eq=False)
class View:
    """A square crop of a photograph.

    matrix: (2, 3) from photograph to crop pixels, integers at pixel centres in both.
    side: of the crop in pixels.
    mirrored: whether left and right change places.
    colours: (256, 3) uint8 from old to new values of each channel; None leaves them.
    """

    matrix: np.ndarray
    side: int
    mirrored: bool = False
    colours: np.ndarray | None = field(default=None)

    def at(self, side: int) -> View:
        """The same view with another number of pixels on a side."""
        ratio = side / self.side
        matrix = self.matrix * ratio
        matrix[:, 2] += (ratio - 1) / 2  # pixel centres, not corners, are whole numbers
        return replace(self, matrix=matrix, side=side)

    @property
    def scale(self) -> float:
        """Crop pixels per photograph pixel."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))

    def image(self, photograph: np.ndarray, padding: tuple[float, float, float]) -> np.ndarray:
        """(side, side, 3) uint8 of an (H, W, 3) uint8; `padding` is the colour outside the photograph."""
        if self.colours is not None:
            photograph = cv2.LUT(photograph, self.colours[None])
        return self._warp(photograph, cv2.INTER_CUBIC, padding)

    def cell_coverage(self, mask: np.ndarray, cells: int) -> np.ndarray:
        """(cells, cells) float32: which fraction of each cell of the crop a 0/1 mask of the photograph covers."""
        warped = self._warp(mask * np.uint8(255), cv2.INTER_LINEAR, 0)
        return cv2.resize(warped, (cells, cells), interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    def people(self, people: np.ndarray) -> np.ndarray:
        """(P, 18, 2) crop pixels of people in photograph pixels; what lies outside the crop is NaN, not there."""
        moved = people @ self.matrix[:, :2].T + self.matrix[:, 2]
        if self.mirrored:
            moved = moved[:, list(MIRRORED)]
        inside = ((moved > -0.5) & (moved < self.side - 0.5)).all(axis=-1, keepdims=True)
        return np.where(inside, moved, np.nan)

    def _warp(self, image: np.ndarray, interpolation: int, padding: tuple[float, ...] | float) -> np.ndarray:
        matrix, shrink = self.matrix, int(1 / self.scale)
        if shrink > 1:  # interpolation between four pixels would skip others: average them first
            height, width = image.shape[:2]
            size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            ratio = np.array([width / size[0], height / size[1]])
            matrix = np.column_stack([matrix[:, :2] * ratio, matrix[:, 2] + matrix[:, :2] @ (ratio / 2 - 0.5)])
        return cv2.warpAffine(image, matrix, (self.side, self.side), flags=interpolation, borderValue=padding)


def draw_view(
    random: np.random.Generator,
    size: tuple[int, int],
    side: int,
    augmentation: Augmentation,
    labels: Labels | None = None,
) -> View:
    """A view about one of the annotated people, or of any part of a photograph where nobody is annotated.

    Args:
        size: (height, width) of the photograph.
        side: of the crop.
    """
    angle = math.radians(random.uniform(-augmentation.rotation, augmentation.rotation))
    mirrored = bool(random.random() < augmentation.flip)
    colours = _colours(random, augmentation.colour) if augmentation.colour else None
    if labels is not None and len(labels.people):
        scale, centre = _about_a_person(random, labels, augmentation)
    else:
        scale, centre = _anywhere(random, size, side, augmentation)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if mirrored:
        turn[0] = -turn[0]
    return View(np.column_stack([turn, (side - 1) / 2 - turn @ centre]), side, mirrored, colours)


def _about_a_person(
    random: np.random.Generator, labels: Labels, augmentation: Augmentation
) -> tuple[float, np.ndarray]:
    """(scale, centre in photograph pixels). One of the people whose pose shows: five keypoints or more, if any has."""
    counts = np.isfinite(labels.people[..., 0]).sum(axis=1)
    left, top, width, height = labels.boxes[random.choice(np.flatnonzero(counts >= min(5, counts.max())))]
    scale = PERSON_HEIGHT * PROTOCOL_HEIGHT / max(height, 1) * random.uniform(*augmentation.scale)
    shift = random.uniform(-augmentation.shift, augmentation.shift, 2) / scale
    return scale, np.array([left + width / 2, top + height / 2]) + shift


def _anywhere(
    random: np.random.Generator, size: tuple[int, int], side: int, augmentation: Augmentation
) -> tuple[float, np.ndarray]:
    """(scale, centre in photograph pixels), the crop within the photograph wherever it fits."""
    low, high = np.log(augmentation.photograph_scale)
    scale = PROTOCOL_HEIGHT / size[0] * math.exp(random.uniform(low, high))
    half = side / 2 / scale
    centre = [random.uniform(min(half, length / 2), max(length - half, length / 2)) for length in size[::-1]]
    return scale, np.array(centre) - 0.5


def _colours(random: np.random.Generator, strength: float) -> np.ndarray:
    """A table of contrast, brightness and a gain per channel; (256, 3) uint8."""
    contrast, gains = 1 + random.uniform(-strength, strength), 1 + random.uniform(-strength, strength, 3) / 2
    brightness = 128 * random.uniform(-strength, strength)
    values = ((np.arange(256)[:, None] - 128) * contrast + 128 + brightness) * gains
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
