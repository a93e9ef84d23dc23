"""Boxes with keypoints as YOLO-pose's head has them before it decodes them, one set of maps for each stride -> people.

Sides of boxes as distributions: Li et al., "Generalized Focal Loss" (NeurIPS 2020). Anchors and joints as YOLOv8 and
YOLO11 have them where sides are distributions, as YOLO26 has them where a side is one number.
"""

from __future__ import annotations

import numpy as np

from fleetpose.errors import UsageError
from models.pose.decoding import boxes
from models.pose.decoding.boxes import DEFAULTS, BoxSettings
from models.pose.decoding.maps import check_maps
from models.pose.joints import COCO, Joints
from models.pose.person import Person
from models.preprocess import Placement

__all__ = ["DEFAULTS", "decode"]

#: of each stride, in this order
_KINDS = ("boxes", "scores", "keypoints")


def decode(
    *maps: np.ndarray,
    placement: Placement,
    settings: BoxSettings = DEFAULTS,
    joints: Joints = COCO,
    **more: np.ndarray,
) -> list[Person]:
    """People, best first, in the photograph's pixels; each has all joints, with the scores that the network gives them.

    Args:
        maps: of each stride three: (4 bins, h, w) logits of how many cells the left, upper, right and lower side lie
            from the cell's middle, or (4, h, w) these distances themselves; (classes, h, w) logits of the score, of
            which the largest counts; (3 joints, h, w): of each joint x and y in cells, and the logit of its score.
        placement: where the photograph lies in the input that the maps span.
        more: the maps of another stride, by the names "boxes_64", "scores_64" and "keypoints_64".

    Raises:
        UsageError: shapes that do not fit, or values that are not finite or beyond 1e6.
    """
    further = [more[name] for name in sorted(more, key=lambda name: _KINDS.index(name.split("_")[0]))]
    every = [*maps, *further]
    if len(every) % len(_KINDS):
        raise UsageError(
            f"each stride has maps of {', '.join(_KINDS)}; of one only {', '.join(more)} is there; "
            "name all three of it, or none"
        )
    levels = [every[first : first + len(_KINDS)] for first in range(0, len(every), len(_KINDS))]
    columns = [_level(level, placement, settings, len(joints)) for level in levels]
    return boxes.decode(np.concatenate(columns, axis=1), placement, settings, joints)


def _level(level: list[np.ndarray], placement: Placement, settings: BoxSettings, count: int) -> np.ndarray:
    """The columns of `boxes.decode`, (5 + 3 joints, places), of one stride, its surest places only."""
    sides, scores = (check_maps(kind, maps, ((0,),)) for kind, maps in zip(_KINDS[:2], level[:2], strict=True))
    keypoints = check_maps("keypoints", level[2], ((3 * count,),))
    if sides.shape[0] % 4 or not sides.shape[1:] == scores.shape[1:] == keypoints.shape[1:]:
        raise UsageError(
            f"boxes {sides.shape}, scores {scores.shape} and keypoints {keypoints.shape} are no (4 bins, h, w), "
            f"(classes, h, w) and ({3 * count}, h, w) of one stride; name the maps by what they hold"
        )
    height, width = sides.shape[1:]
    best = _sigmoid(scores.max(axis=0)).ravel()
    places = np.argsort(-best, kind="stable")[: settings.most_boxes]
    places = places[best[places] > settings.threshold]
    cells = np.stack([places % width, places // width])
    stride = np.array([[placement.input_size[1] / width], [placement.input_size[0] / height]])
    bins = sides.shape[0] // 4
    left_top, right_bottom = np.split(_distances(sides.reshape(4, bins, -1)[:, :, places]), 2)
    low, high = cells + 0.5 - left_top, cells + 0.5 + right_bottom
    joints = keypoints.reshape(count, 3, -1)[:, :, places].astype(np.float64)
    joints[:, :2] = ((2 * joints[:, :2] + cells) if bins > 1 else (joints[:, :2] + cells + 0.5)) * stride
    joints[:, 2] = _sigmoid(joints[:, 2])
    return np.concatenate(
        [(low + high) / 2 * stride, (high - low) * stride, best[None, places], joints.reshape(3 * count, -1)]
    )


def _distances(logits: np.ndarray) -> np.ndarray:
    """(4, places): the mean of each side's distribution over 0, 1, ..., bins - 1; of one bin the number itself."""
    bins = logits.shape[1]
    if bins == 1:
        return logits[:, 0].astype(np.float64)
    weights = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return (weights * np.arange(bins)[None, :, None]).sum(axis=1) / weights.sum(axis=1)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values.astype(np.float64), -700, 700)))
