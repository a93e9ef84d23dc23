"""Grouping by tags: which joints are of one person, told by the embedding the network gave each of them.

Newell, Huang and Deng, "Associative Embedding: End-to-End Learning for Joint Detection and Grouping" (NeurIPS 2017),
section 3.3, with the assignment of HigherHRNet (Cheng et al., CVPR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.pose.skeleton import COCO_PARTS

#: COCO keypoints in the order they are joined: the head, shoulders, hips, then outwards along the limbs.
JOINT_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 13, 14, 9, 10, 15, 16)
#: What a whole unit of rounded tag distance costs, in detection scores.
_TAG_COST = 100.0


@dataclass(frozen=True)
class Groups:
    """members: (P, 17) int, the candidate that is each person's joint, or -1. tags: (P, D), the mean of each person."""

    members: np.ndarray
    tags: np.ndarray


def group(tags: Sequence[np.ndarray], scores: Sequence[np.ndarray], threshold: float, most_people: int) -> Groups:
    """Join candidates into people, joint by joint.

    A joint's candidates are assigned to the people so far at the least total of 100 x (tag distance, rounded) - score
    (Hungarian method); who is `threshold` or more away from the person assigned, or is assigned to none, starts a new
    person. Only the first `most_people` are assigned anything, which bounds the time.

    Args:
        tags: per COCO keypoint (N, D). scores: per COCO keypoint (N,).
    """
    members: list[list[int]] = []
    totals: list[np.ndarray] = []
    counts: list[int] = []
    for joint in JOINT_ORDER:
        owners = _owners(tags[joint], scores[joint], totals[:most_people], counts[:most_people], threshold)
        for candidate, owner in enumerate(owners):
            if owner < 0:
                owner = len(members)
                members.append([-1] * len(COCO_PARTS))
                totals.append(np.zeros(tags[joint].shape[1]))
                counts.append(0)
            members[owner][joint] = candidate
            totals[owner] = totals[owner] + tags[joint][candidate]
            counts[owner] += 1
    mean = np.array(totals).reshape(-1, tags[0].shape[1]) / np.array(counts, float)[:, None]
    return Groups(np.array(members, np.intp).reshape(-1, len(COCO_PARTS)), mean)


def _owners(
    tags: np.ndarray, scores: np.ndarray, totals: list[np.ndarray], counts: list[int], threshold: float
) -> list[int]:
    """The person each candidate of a joint belongs to, or -1 for a new one."""
    owners = np.full(len(tags), -1)
    if totals and len(tags):
        mean = np.array(totals) / np.array(counts)[:, None]
        distance = np.linalg.norm(tags[:, None].astype(np.float64) - mean, axis=2)
        rows, columns = linear_sum_assignment(_TAG_COST * np.round(distance) - scores[:, None])
        close = distance[rows, columns] < threshold
        owners[rows[close]] = columns[close]
    return owners.tolist()
