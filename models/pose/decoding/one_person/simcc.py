"""SimCC: for each joint of one person a distribution over columns and one over rows; RTMPose has such a head.

Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation" (ECCV 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.pose.decoding.maps import check_maps
from models.pose.joints import COCO, Joints
from models.pose.person import Person
from models.preprocess import Placement


@dataclass(frozen=True)
class SimccSettings:
    """threshold: a joint is not found where the lower of its two highest values is not above this."""

    threshold: float = 0.0


DEFAULTS = SimccSettings()


def decode(
    simcc_x: np.ndarray,
    simcc_y: np.ndarray,
    placement: Placement,
    settings: SimccSettings = DEFAULTS,
    joints: Joints = COCO,
) -> list[Person]:
    """The one person, in the photograph's pixels; nobody where no joint is found.

    A joint lies at the highest of its columns and of its rows, and the lower of these two values is its score; the
    person's is the mean over all joints. Bins per pixel are told by how many there are.

    Args:
        simcc_x, simcc_y: (joints, bins) float, or (1, joints, bins): over the input's width, and over its height.
        placement: where the photograph, or the part of it that shows the person, lies in the input.

    Raises:
        UsageError: another number of joints, or values that are not finite or beyond 1e6.
    """
    columns, rows = _bins("simcc_x", simcc_x, len(joints)), _bins("simcc_y", simcc_y, len(joints))
    scores = np.minimum(columns.max(axis=1), rows.max(axis=1)).astype(np.float64)
    is_found = (scores > settings.threshold) & (columns.min(axis=1) < columns.max(axis=1))
    if not is_found.any():
        return []
    height, width = placement.input_size
    x = columns.argmax(axis=1) * (width / columns.shape[1])
    y = rows.argmax(axis=1) * (height / rows.shape[1])
    points = np.stack([x, y], axis=1)
    points[~is_found] = np.nan
    scores = np.where(is_found, scores, 0)
    return joints.people(placement.to_image(points)[None], scores[None], scores.mean(keepdims=True))


def _bins(title: str, values: np.ndarray, joints: int) -> np.ndarray:
    """(joints, bins), checked, of (1, joints, bins) or (joints, 1, bins) too, which networks and artifacts give."""
    array = np.asarray(values)
    if array.ndim == 3 and array.shape[0] == joints and array.shape[1] == 1:
        array = array[:, 0]
    elif array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    return check_maps(title, array[None] if array.ndim == 2 and array.shape[0] == joints else array, ((1,),))[0]
