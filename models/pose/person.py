"""A person found in a photograph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.pose.skeleton import FROM_COCO, LIMBS, PARTS

#: Limb -> its length over a standing person's height, of limbs that tell a height: shoulders, arms, trunk, legs, head.
_PROPORTIONS = {0: 0.12, 1: 0.12, 2: 0.16, 4: 0.16, 6: 0.33, 7: 0.23, 9: 0.33, 10: 0.23, 12: 0.12}


@dataclass(frozen=True, eq=False)
class Person:
    """One person's keypoints.

    keypoints: (18, 3) float64 x, y, score in the order of `skeleton.PARTS`; x and y in photograph pixels, integers at
        pixel centres. A keypoint that was not found is (NaN, NaN, 0).
    score: larger for a surer person; of PAF grouping, the sum of its keypoints' and limbs' scores.
    identity: the same number for the same person in all frames of a video, from 1 (`track`); None in a photograph.
    more: x, y, score of joints that `skeleton.PARTS` has not, by name, of networks with other joint sets.
    """

    keypoints: np.ndarray
    score: float
    identity: int | None = None
    more: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.keypoints.shape != (len(PARTS), 3):
            raise ValueError(f"a person has keypoints of shape ({len(PARTS)}, 3), not {self.keypoints.shape}")

    @property
    def found(self) -> np.ndarray:
        """(18,) bool: which keypoints were found."""
        return ~np.isnan(self.keypoints[:, 0])

    @property
    def count(self) -> int:
        """Number of keypoints found."""
        return int(self.found.sum())

    @property
    def confidence(self) -> float:
        """Mean score of the keypoints found, 0 without any; about 0 to 1."""
        return float(self.keypoints[:, 2].sum() / max(1, self.count))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the keypoints found, pixels. Raises ValueError without any."""
        xy = self.keypoints[self.found, :2]
        if not len(xy):
            raise ValueError("a person without keypoints has no box")
        (left, top), (right, bottom) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
        return left, top, right, bottom

    @property
    def stature(self) -> float:
        """About how high the person would stand, in pixels. Raises ValueError without keypoints.

        Limbs tell it, so that somebody who sits, or of whom head and shoulders are in the picture, is not taken for
        small, nor one misplaced keypoint for a giant; where they are few, how far the keypoints reach counts as well.
        """
        left, top, right, bottom = self.box
        start, end = (self.keypoints[[LIMBS[limb][side] for limb in _PROPORTIONS], :2] for side in (0, 1))
        heights = np.hypot(*(end - start).T) / list(_PROPORTIONS.values())
        heights = heights[~np.isnan(heights)]
        median, reach = float(np.median(heights)) if len(heights) else 0.0, max(right - left, bottom - top)
        return median if len(heights) >= 4 else max(reach, min(median, 2 * reach))

    def to_coco(self, image_id: int) -> dict[str, Any]:
        """One entry of COCO's keypoint result format, JSON-ready.

        COCO measures from the image's top left corner, so half a pixel is added; a keypoint not found is 0, 0, 0.
        The neck is left out. score is `score` x (keypoints found - 1), as Lightweight OpenPose ranks people. A person
        with an identity has it as "track_id", PoseTrack's name for it; COCO's tools ignore it.
        """
        present = self.found[list(FROM_COCO)]
        flat = np.zeros((len(FROM_COCO), 3))
        flat[present, :2] = self.keypoints[list(FROM_COCO), :2][present] + 0.5
        flat[present, 2] = 1
        entry = {
            "image_id": int(image_id),
            "category_id": 1,
            "keypoints": [round(value, 3) for value in flat.ravel().tolist()],
            "score": float(self.score) * max(0, self.count - 1),
        }
        return entry if self.identity is None else {**entry, "track_id": int(self.identity)}
