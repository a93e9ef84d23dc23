"""Boxes with keypoints, as YOLO-pose gives them: one column for each place a person may be -> people.

Maji et al., "YOLO-Pose: Enhancing YOLO for Multi Person Pose Estimation Using Object Keypoint Similarity Loss" (CVPR
workshops 2022); columns as YOLOv8, YOLO11 and YOLO26 write them. Boxes of the same person are told by their overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetpose.errors import UsageError
from models.pose.decoding.maps import LARGEST
from models.pose.joints import COCO, Joints
from models.pose.person import Person
from models.preprocess import Placement

#: (centre x, centre y, width, height) and the score of a person
_BEFORE = 5


@dataclass(frozen=True)
class BoxSettings:
    """Constants of the decoder; the defaults are Ultralytics' for validation, but for `threshold`.

    threshold: a box's score is larger. overlap: a box that overlaps a surer one by more (intersection over union) is
    the same person's. most_boxes: how many of the surest are looked at. most_people: people returned at most.
    """

    threshold: float = 0.05
    overlap: float = 0.7
    most_boxes: int = 3000
    most_people: int = 30


DEFAULTS = BoxSettings()


def decode(
    predictions: np.ndarray, placement: Placement, settings: BoxSettings = DEFAULTS, joints: Joints = COCO
) -> list[Person]:
    """People, best first, in the photograph's pixels; each has all joints, with the scores that the network gives them.

    Args:
        predictions: (5 + 3 joints, places) float, or (1, 5 + 3 joints, places), or with the last two axes swapped:
            centre x and y, width and height of a box, its score, then x, y and score of each joint. Pixels of the
            input, from its top left corner; scores 0 to 1.
        placement: where the photograph lies in the input.

    Raises:
        UsageError: another shape, or values that are not finite or beyond 1e6.
    """
    columns = _columns(predictions, len(joints))
    surest = np.argsort(-columns[:, 4], kind="stable")[: settings.most_boxes]
    columns = columns[surest][columns[surest, 4] > settings.threshold]
    columns = columns[suppress(columns[:, :4], settings.overlap, settings.most_people)]
    keypoints = columns[:, _BEFORE:].reshape(-1, len(joints), 3)
    return joints.people(placement.to_image(keypoints[..., :2] - 0.5), keypoints[..., 2], columns[:, 4])


def suppress(boxes: np.ndarray, overlap: float, most: int) -> list[int]:
    """Indices of the boxes that stay of (n, 4) centre x, y, width, height, the surest first."""
    corner, size = boxes[:, :2] - boxes[:, 2:] / 2, np.maximum(boxes[:, 2:], 0)
    area = size.prod(axis=1)
    kept: list[int] = []
    open_boxes = np.arange(len(boxes))
    while len(open_boxes) and len(kept) < most:
        best, open_boxes = int(open_boxes[0]), open_boxes[1:]
        kept.append(best)
        low = np.maximum(corner[best], corner[open_boxes])
        high = np.minimum(corner[best] + size[best], corner[open_boxes] + size[open_boxes])
        shared = np.maximum(high - low, 0).prod(axis=1)
        union = area[best] + area[open_boxes] - shared
        open_boxes = open_boxes[shared <= overlap * union]
    return kept


def _columns(predictions: np.ndarray, joints: int) -> np.ndarray:
    """(places, 5 + 3 joints) float64, checked."""
    wanted = _BEFORE + 3 * joints
    array = np.asarray(predictions)
    squeezed = array.reshape([side for side in array.shape if side > 1] or [1])
    if array.dtype.kind not in "fiu" or squeezed.ndim != 2 or wanted not in squeezed.shape:
        raise UsageError(
            f"expected predictions ({wanted}, places) of {joints} joints, got {array.shape} {array.dtype}; name the "
            "network's joints in the description's decoding (default: COCO's 17), or its outputs by what they hold"
        )
    columns = squeezed.T if squeezed.shape[0] == wanted else squeezed
    if not np.abs(columns).max(initial=0) <= LARGEST:  # a NaN fails this comparison too
        raise UsageError(
            f"predictions hold values that are not finite or beyond {LARGEST:g}; check the weights and the input"
        )
    return columns.astype(np.float64)
