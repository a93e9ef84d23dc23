"""Keypoint regression: a heatmap of people's centres, and at each centre the offsets of all joints -> people.

Geng et al., "Bottom-Up Human Pose Estimation Via Disentangled Keypoint Regression" (DEKR, CVPR 2021), sections 3 and 4,
and its constants. Such a network knows no absent joint: every person has all 17.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.pose.decoding.maps import check_maps, check_same_size
from models.pose.decoding.maxima import local_maxima
from models.pose.joints import COCO
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS
from models.preprocess import Placement

_JOINTS = len(COCO_PARTS)


@dataclass(frozen=True)
class RegressionSettings:
    """Constants of the decoder; the defaults are those of DEKR.

    kernels: (cells, side): max pooling of that side picks centres on maps whose mean side is more than so many cells.
    centre_threshold: a centre's value is larger. most_people: centres considered.
    near: two joints are the same if closer than this share of the diagonal of the better pose's box.
    same_joints: a pose is dropped if more than this many joints are the same as a better pose's.
    """

    kernels: tuple[tuple[float, int], ...] = ((300, 7), (200, 5), (0, 3))
    centre_threshold: float = 0.01
    most_people: int = 30
    near: float = 0.15
    same_joints: int = 10


DEFAULTS = RegressionSettings()


def decode(
    centres: np.ndarray,
    offsets: np.ndarray,
    placement: Placement,
    settings: RegressionSettings = DEFAULTS,
    heatmaps: np.ndarray | None = None,
) -> list[Person]:
    """People in a network's output maps, best first, in the photograph's pixels.

    A keypoint's score is its person's centre, times the keypoint's own heatmap where there are heatmaps; a person's
    score is the mean of its keypoints'.

    Args:
        centres: (1, h, w) float.
        offsets: (34, h, w) float: of each COCO keypoint x, then y; a keypoint is at cell minus offset, in cells.
        placement: where the photograph lies in the input that the maps span.
        heatmaps: None, or (17, h, w) float in COCO's order.

    Raises:
        UsageError: shapes that do not fit, or values that are not finite or beyond 1e6.
    """
    centres, offsets = check_maps("centres", centres, ((1,),)), check_maps("offsets", offsets, ((2 * _JOINTS,),))
    heat = None if heatmaps is None else check_maps("heatmaps", heatmaps, ((_JOINTS,),))
    size = (centres.shape[1], centres.shape[2])
    check_same_size(centres=centres, offsets=offsets, heatmaps=heat)
    kernel = next((side for cells, side in settings.kernels if sum(size) / 2 > cells), 3)
    maxima = local_maxima(centres[0], kernel, settings.centre_threshold, settings.most_people)
    cells = np.stack([maxima.column, maxima.row], axis=1).astype(np.float64)
    poses = cells[:, None] - offsets[:, maxima.row, maxima.column].T.reshape(-1, _JOINTS, 2)
    scores = np.repeat(maxima.score[:, None].astype(np.float64), _JOINTS, axis=1)
    if heat is not None:
        scores *= _sample_heat(heat, poses)
    keep = _distinct(poses, scores.mean(axis=1), settings)
    return COCO.people(placement.cells_to_image(poses[keep], size), scores[keep], scores[keep].mean(axis=1))


def _sample_heat(heat: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """(P, 17): each joint's heatmap at the cell nearest to (P, 17, 2) joints; not below 0, and 0 beyond the map."""
    x, y = np.moveaxis(np.rint(poses), -1, 0)
    inside = (x >= 0) & (x < heat.shape[2]) & (y >= 0) & (y < heat.shape[1])
    row, column = np.where(inside, y, 0).astype(np.intp), np.where(inside, x, 0).astype(np.intp)
    return np.where(inside, np.maximum(heat[np.arange(_JOINTS), row, column], 0), 0)


def _distinct(poses: np.ndarray, scores: np.ndarray, settings: RegressionSettings) -> np.ndarray:
    """Indices of the poses that stay, best first: pose suppression, each pose compared with the better ones kept."""
    if not len(poses):
        return np.zeros(0, np.intp)
    diagonal = np.hypot(*np.moveaxis(np.ptp(poses, axis=1), -1, 0))
    gap = np.hypot(*np.moveaxis(poses[:, None] - poses[None], -1, 0))
    same = (gap < settings.near * diagonal[:, None, None]).sum(axis=2) > settings.same_joints
    kept: list[int] = []
    for pose in np.argsort(-scores, kind="stable").tolist():
        if not any(same[better, pose] for better in kept):
            kept.append(pose)
    return np.array(kept, np.intp)
