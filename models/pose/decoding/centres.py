"""Centres with displacements, as CenterNet and MoveNet MultiPose give them -> people.

Zhou, Wang and Krähenbühl, "Objects as Points" (2019), section 4.3: each peak of a heatmap of centres is a person, whose
joints are displaced from it; where there are heatmaps of joints, a joint moves to the peak of its own map that is
nearest, if that lies within the person's box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.pose.decoding.maps import check_maps, check_same_size
from models.pose.decoding.maxima import local_maxima
from models.pose.joints import COCO, Joints
from models.pose.person import Person
from models.preprocess import Placement


@dataclass(frozen=True)
class CentreSettings:
    """Constants of the decoder; the defaults are CenterNet's.

    kernel: side of the max pooling that picks peaks, in cells. threshold: a centre's value is larger.
    joint_threshold: so is that of a peak that a joint may move to. most_people: centres, and peaks of a joint,
    considered. margin: how far beyond the box of a person's displaced joints such a peak may lie, over its longer side.
    """

    kernel: int = 3
    threshold: float = 0.1
    joint_threshold: float = 0.1
    most_people: int = 30
    margin: float = 0.1


DEFAULTS = CentreSettings()


def decode(
    centres: np.ndarray,
    displacements: np.ndarray,
    placement: Placement,
    settings: CentreSettings = DEFAULTS,
    joint_heatmaps: np.ndarray | None = None,
    joint_offsets: np.ndarray | None = None,
    joints: Joints = COCO,
) -> list[Person]:
    """People, best first, in the photograph's pixels; each has all joints.

    A joint's score is its person's centre, or its peak where it moved to one; a person's score is its centre's.

    Args:
        centres: (1, h, w) float, 0 to 1.
        displacements: (2 joints, h, w): of each joint x, then y: cells from the centre to the joint.
        placement: where the photograph lies in the input that the maps span. A cell stands at the pixel of its index
            times the stride.
        joint_heatmaps: None, or (joints, h, w).
        joint_offsets: None, or (2, h, w) or (2 joints, h, w): x, y in cells from a joint's cell to the joint.

    Raises:
        UsageError: shapes that do not fit, or values that are not finite or beyond 1e6.
    """
    count = len(joints)
    centre_map = check_maps("centres", centres, ((1,),))
    fields = check_maps("displacements", displacements, ((2 * count,),))
    heat = None if joint_heatmaps is None else check_maps("joint_heatmaps", joint_heatmaps, ((count,),))
    offsets = None if joint_offsets is None else check_maps("joint_offsets", joint_offsets, ((2,), (2 * count,)))
    size = (centre_map.shape[1], centre_map.shape[2])
    check_same_size(centres=centre_map, displacements=fields, joint_heatmaps=heat, joint_offsets=offsets)
    maxima = local_maxima(centre_map[0], settings.kernel, settings.threshold, settings.most_people)
    cells = np.stack([maxima.column, maxima.row], axis=1).astype(np.float64)
    poses = cells[:, None] + fields[:, maxima.row, maxima.column].T.reshape(-1, count, 2)
    scores = np.repeat(maxima.score[:, None].astype(np.float64), count, axis=1)
    if heat is not None:
        poses, scores = _move_to_peaks(poses, scores, heat, offsets, settings)
    stride = np.array([placement.input_size[1] / size[1], placement.input_size[0] / size[0]])
    return joints.people(placement.to_image(poses * stride), scores, maxima.score.astype(np.float64))


def _move_to_peaks(
    poses: np.ndarray, scores: np.ndarray, heat: np.ndarray, offsets: np.ndarray | None, settings: CentreSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (P, joints, 2) and scores (P, joints), each joint at the nearest peak of its map in its person's box."""
    moved, moved_scores = poses.copy(), scores.copy()
    if not len(poses):
        return moved, moved_scores
    reach = settings.margin * np.ptp(poses, axis=1).max(axis=1, keepdims=True)
    low, high = poses.min(axis=1) - reach, poses.max(axis=1) + reach
    for joint, values in enumerate(heat):
        maxima = local_maxima(values, settings.kernel, settings.joint_threshold, settings.most_people)
        if not len(maxima):
            continue
        peaks = np.stack([maxima.column, maxima.row], axis=1).astype(np.float64)
        if offsets is not None:
            channels = slice(2 * joint, 2 * joint + 2) if len(offsets) > 2 else slice(0, 2)
            peaks += offsets[channels, maxima.row, maxima.column].T
        gap = np.hypot(*np.moveaxis(poses[:, joint, None] - peaks[None], -1, 0))
        nearest = gap.argmin(axis=1)
        inside = ((peaks[nearest] >= low) & (peaks[nearest] <= high)).all(axis=1)
        moved[inside, joint] = peaks[nearest][inside]
        moved_scores[inside, joint] = maxima.score[nearest][inside]
    return moved, moved_scores
