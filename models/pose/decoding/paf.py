"""Part-affinity-field grouping: heatmaps and PAFs -> people.

Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017), sections 2.2 to 2.4,
with the constants of Lightweight OpenPose. The maps are read as if upsampled to the network's input, but only where
people are (see `peaks` and `limbs`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.pose.decoding.limbs import Limbs, find_limbs
from models.pose.decoding.maps import check_maps, check_same_size
from models.pose.decoding.peaks import Peaks, find_peaks
from models.pose.person import Person
from models.pose.skeleton import HEATMAPS, LIMBS, PAFS, PARTS, TREE_LIMBS
from models.preprocess import Placement


@dataclass(frozen=True)
class PafSettings:
    """Constants of the decoder; the defaults are those of OpenPose and Lightweight OpenPose.

    peak_threshold: a peak's value is larger. radius: of suppression, in cells of the maps (6 px at stride 8).
    samples: points along a limb. sample_threshold: a sample counts if the field along the limb is larger.
    counted_share: a limb is valid if more than this share of its samples counts.
    least_keypoints, least_score: a person has at least so many keypoints, and this score per keypoint.
    most_peaks: the best this many peaks of a part are considered, so that time is bounded on any input.
    """

    peak_threshold: float = 0.1
    radius: float = 0.75
    samples: int = 10
    sample_threshold: float = 0.05
    counted_share: float = 0.8
    least_keypoints: int = 3
    least_score: float = 0.2
    most_peaks: int = 128


DEFAULTS = PafSettings()


def decode(
    heatmaps: np.ndarray, pafs: np.ndarray, placement: Placement, settings: PafSettings = DEFAULTS
) -> list[Person]:
    """People in a network's output maps, best first, in the photograph's pixels.

    Args:
        heatmaps: (19, h, w) float: 18 parts of `skeleton.PARTS` and the background, which is not read.
        pafs: (38, h, w) float: unit vectors along limbs, channels as in `skeleton.PAF_CHANNELS`.
        placement: where the photograph lies in the input that the maps span.

    Raises:
        UsageError: shapes that do not fit, or values that are not finite or beyond 1e6.
    """
    heatmaps, pafs = _check_maps(heatmaps, pafs)
    peaks = find_peaks(heatmaps[: len(PARTS)], settings.peak_threshold, settings.radius, settings.most_peaks)
    limbs = find_limbs(peaks, pafs, settings.samples, settings.sample_threshold, settings.counted_share)
    members, scores = _assemble(peaks, limbs)
    counts = (members >= 0).sum(axis=1)
    keep = (counts >= settings.least_keypoints) & (scores >= settings.least_score * counts)
    members, scores = members[keep], scores[keep]
    keypoints = np.full((*members.shape, 3), np.nan)
    keypoints[:, :, 2] = 0
    present = members >= 0
    xy = placement.cells_to_image(peaks.xy, (heatmaps.shape[1], heatmaps.shape[2]))
    keypoints[present, :2] = xy[members[present]]
    keypoints[present, 2] = peaks.score[members[present]]
    return [Person(keypoints[person], float(scores[person])) for person in np.argsort(-scores, kind="stable")]


def _check_maps(heatmaps: np.ndarray, pafs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    heatmaps, pafs = check_maps("heatmaps", heatmaps, ((HEATMAPS,),)), check_maps("PAFs", pafs, ((PAFS,),))
    check_same_size(heatmaps=heatmaps, PAFs=pafs)
    return heatmaps, pafs


def _assemble(peaks: Peaks, limbs: Limbs) -> tuple[np.ndarray, np.ndarray]:
    """Join limbs that share a peak: (P, 18) peak of each person's part or -1, and (P,) scores.

    The first 17 kinds of limb are a tree, so a limb's end is always new; its start belongs to someone or starts a
    person. The last two, shoulder to ear, only fill gaps and add no score.
    """
    owner: dict[int, int] = {}
    people: list[list[int]] = []
    scores: list[float] = []
    heat = peaks.score.tolist()
    columns = (limbs.limb.tolist(), limbs.start.tolist(), limbs.end.tolist(), limbs.score.tolist())
    for limb, start, end, score in zip(*columns, strict=True):
        first, last = LIMBS[limb]
        if limb >= TREE_LIMBS:
            _fill_gap(people, owner, (first, start), (last, end))
            continue
        person = owner.get(start)
        if person is None:
            person = owner[start] = len(people)
            people.append([-1] * len(PARTS))
            scores.append(heat[start])
            people[person][first] = start
        people[person][last] = end
        owner[end] = person
        scores[person] += heat[end] + score
    return np.array(people, np.intp).reshape(-1, len(PARTS)), np.array(scores, np.float64)


def _fill_gap(people: list[list[int]], owner: dict[int, int], node: tuple[int, int], other: tuple[int, int]) -> None:
    """Give the owner of one (part, peak) the other, where that part is missing, and vice versa."""
    for (part, peak), (missing, candidate) in ((node, other), (other, node)):
        person = owner.get(peak)
        if person is not None and people[person][part] == peak and people[person][missing] < 0:
            people[person][missing] = candidate
            owner.setdefault(candidate, person)
            return
