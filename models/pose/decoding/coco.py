"""People of networks that know COCO's 17 keypoints, which have no neck."""

from __future__ import annotations

import numpy as np

from models.pose.person import Person
from models.pose.skeleton import FROM_COCO, PARTS

_NECK = PARTS.index("neck")
_SHOULDERS = (PARTS.index("right_shoulder"), PARTS.index("left_shoulder"))


def people_from_coco(xy: np.ndarray, scores: np.ndarray, person_scores: np.ndarray) -> list[Person]:
    """People, best first.

    The neck is derived, so that limbs have where to start: halfway between the shoulders and as sure as the less sure
    of them; without both shoulders there is none. COCO's results leave it out again.

    Args:
        xy: (P, 17, 2) photograph pixels in the order of `skeleton.COCO_PARTS`; NaN where not found.
        scores: (P, 17); not read where not found.
        person_scores: (P,).
    """
    keypoints = np.full((len(xy), len(PARTS), 3), np.nan)
    keypoints[:, FROM_COCO, :2] = xy
    keypoints[:, FROM_COCO, 2] = scores
    keypoints[:, _NECK, :2] = keypoints[:, _SHOULDERS, :2].mean(axis=1)
    keypoints[:, _NECK, 2] = keypoints[:, _SHOULDERS, 2].min(axis=1)
    keypoints[np.isnan(keypoints[..., 0])] = np.nan, np.nan, 0
    return [Person(keypoints[at], float(person_scores[at])) for at in np.argsort(-person_scores, kind="stable")]
