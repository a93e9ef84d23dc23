"""PersonLab: keypoint heatmaps, short-range offsets and mid-range displacements -> people.

Papandreou et al., "PersonLab: Person Pose Estimation and Instance Segmentation with a Bottom-Up, Part-Based, Geometric
Embedding Model" (ECCV 2018), as PoseNet does it: poses grow from the surest joints along a tree of displacements, and
short-range offsets move each joint to its place. A cell (row, column) stands at the pixel (row, column) x stride.
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
_CHAIN = (
    *(("nose", "left_eye"), ("left_eye", "left_ear"), ("nose", "right_eye"), ("right_eye", "right_ear")),
    *(("nose", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    *(("left_shoulder", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle")),
    *(("nose", "right_shoulder"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
    *(("right_shoulder", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle")),
)
#: The tree of displacements, as (parent, child) joints: edge e has channels e (y) and 16 + e (x).
EDGES = tuple((COCO_PARTS.index(parent), COCO_PARTS.index(child)) for parent, child in _CHAIN)


@dataclass(frozen=True)
class PersonLabSettings:
    """Constants of the decoder; the defaults are PoseNet's but for `root_threshold`, which is the paper's.

    kernel: side of the max pooling that picks the joints that poses grow from, in cells.
    root_threshold: such a joint's value is larger. most_roots: how many of them are tried, of all joints.
    most_people: people returned at most.
    suppression: a joint within so many pixels of the same joint of a surer person is that person's.
    refinements: how often a displaced joint is moved by the short-range offset of the cell it lies in.
    least_score: a person's mean score over the joints that are its own is at least so much.
    """

    kernel: int = 3
    root_threshold: float = 0.1
    most_roots: int = 300
    most_people: int = 30
    suppression: float = 20.0
    refinements: int = 2
    least_score: float = 0.05


DEFAULTS = PersonLabSettings()


@dataclass(frozen=True)
class _Fields:
    """heatmaps (17, h, w); offsets (17, h, w, 2) and displacements (16, h, w, 2), forward and backward: y, x pixels."""

    heatmaps: np.ndarray
    offsets: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    stride: float

    def cell(self, point: np.ndarray) -> tuple[int, int]:
        """The cell nearest to a point (y, x), within the maps."""
        last = np.array(self.heatmaps.shape[1:]) - 1
        row, column = np.clip(np.rint(point / self.stride), 0, last).astype(int).tolist()
        return row, column


def decode(
    heatmaps: np.ndarray,
    short_offsets: np.ndarray,
    forward_displacements: np.ndarray,
    backward_displacements: np.ndarray,
    placement: Placement,
    settings: PersonLabSettings = DEFAULTS,
) -> list[Person]:
    """People in a network's output maps, best first, in the photograph's pixels; each has all 17 keypoints.

    Args:
        heatmaps: (17, h, w) float in COCO's order, 0 to 1.
        short_offsets: (34, h, w): of each joint y, for all joints, then x: pixels from the cell to the joint.
        forward_displacements, backward_displacements: (32, h, w): of each of EDGES y, for all edges, then x: pixels
            from the parent to the child, and from the child to the parent.
        placement: where the photograph lies in the input that the maps span.

    Raises:
        UsageError: shapes that do not fit, or values that are not finite or beyond 1e6.
    """
    heat = check_maps("heatmaps", heatmaps, ((_JOINTS,),))
    vectors = [
        check_maps(name, maps, ((2 * count,),))
        for name, maps, count in (
            ("short_offsets", short_offsets, _JOINTS),
            ("forward_displacements", forward_displacements, len(EDGES)),
            ("backward_displacements", backward_displacements, len(EDGES)),
        )
    ]
    names = ("short_offsets", "forward_displacements", "backward_displacements")
    check_same_size(heatmaps=heat, **dict(zip(names, vectors, strict=True)))
    offsets, forward, backward = (np.stack(np.split(maps, 2), axis=-1).astype(np.float64) for maps in vectors)
    stride = float(np.rint(placement.input_size[1] / heat.shape[2])) or 1.0
    poses, scores, person_scores = _grow_poses(_Fields(heat, offsets, forward, backward, stride), settings)
    return COCO.people(placement.to_image(poses[..., ::-1]), scores, person_scores)


def _grow_poses(fields: _Fields, settings: PersonLabSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, 17, 2) y, x input pixels, (P, 17) scores and (P,) scores of the people."""
    poses: list[np.ndarray] = []
    scores: list[np.ndarray] = []
    person_scores: list[float] = []
    for joint, row, column in _roots(fields.heatmaps, settings):
        root = np.array([row, column]) * fields.stride + fields.offsets[joint, row, column]
        if any(np.hypot(*(pose[joint] - root)) <= settings.suppression for pose in poses):
            continue
        pose, score = _grow(fields, joint, root, float(fields.heatmaps[joint, row, column]), settings.refinements)
        own = np.ones(_JOINTS, bool)
        for other in poses:
            own &= np.hypot(*(other - pose).T) > settings.suppression
        mean = float(score[own].sum() / _JOINTS)
        if mean < settings.least_score:
            continue
        poses.append(pose)
        scores.append(score)
        person_scores.append(mean)
        if len(poses) == settings.most_people:
            break
    count = len(poses)
    return np.array(poses).reshape(count, _JOINTS, 2), np.array(scores).reshape(count, _JOINTS), np.array(person_scores)


def _roots(heatmaps: np.ndarray, settings: PersonLabSettings) -> list[tuple[int, int, int]]:
    """(joint, row, column) of the local maxima that poses grow from, the surest first."""
    roots = []
    for joint, values in enumerate(heatmaps):
        maxima = local_maxima(values, settings.kernel, settings.root_threshold, settings.most_roots)
        columns = zip(maxima.score.tolist(), maxima.row.tolist(), maxima.column.tolist(), strict=True)
        roots += [(score, joint, row, column) for score, row, column in columns]
    roots.sort(key=lambda root: -root[0])
    return [root[1:] for root in roots[: settings.most_roots]]


def _grow(
    fields: _Fields, joint: int, root: np.ndarray, score: float, refinements: int
) -> tuple[np.ndarray, np.ndarray]:
    """A pose from one of its joints: (17, 2) y, x pixels, and (17,) scores."""
    pose, scores = np.full((_JOINTS, 2), np.nan), np.zeros(_JOINTS)
    pose[joint], scores[joint] = root, score
    steps = [(edge, child, parent, fields.backward) for edge, (parent, child) in reversed(list(enumerate(EDGES)))]
    steps += [(edge, parent, child, fields.forward) for edge, (parent, child) in enumerate(EDGES)]
    for edge, start, end, displacements in steps:
        if np.isnan(pose[start, 0]) or not np.isnan(pose[end, 0]):
            continue
        point = pose[start] + displacements[edge][fields.cell(pose[start])]
        for _ in range(refinements):
            row, column = fields.cell(point)
            point = np.array([row, column]) * fields.stride + fields.offsets[end, row, column]
        pose[end], scores[end] = point, fields.heatmaps[end][fields.cell(point)]
    return pose, scores
