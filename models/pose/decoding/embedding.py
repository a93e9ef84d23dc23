"""Associative Embedding grouping: heatmaps and tag maps -> people.

Newell et al. (NeurIPS 2017) with the constants and the refinement of HigherHRNet (Cheng et al., "HigherHRNet:
Scale-Aware Representation Learning for Bottom-Up Human Pose Estimation", CVPR 2020), which EfficientHRNet shares. As
there, the maps are brought to the resolution of the network's input before anything is looked for, and every joint that
a person lacks is looked for in the whole map: that is what makes this grouping slow.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fleetpose.errors import UsageError
from models.pose.decoding.maps import check_maps
from models.pose.decoding.maxima import local_maxima
from models.pose.decoding.tags import Groups, group
from models.pose.joints import COCO
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS
from models.preprocess import Placement, Size

#: Pixels of the largest input whose maps are decoded.
_MOST_PIXELS = 1 << 22
_JOINTS = len(COCO_PARTS)


@dataclass(frozen=True)
class EmbeddingSettings:
    """Constants of the decoder; the defaults are those of HigherHRNet, but for `least_keypoints`.

    kernel: side of the max pooling that picks peaks, in input pixels. peak_threshold: a peak's value is larger.
    most_people: peaks considered per joint, and people that may gather joints.
    tag_threshold: a joint belongs to a person if their tags are closer.
    least_keypoints: a person is grouped from at least so many joints. HigherHRNet keeps everyone (1), down to single
        peaks of noise, each with 16 joints guessed.
    refine: look for missing joints.
    """

    kernel: int = 5
    peak_threshold: float = 0.1
    most_people: int = 30
    tag_threshold: float = 1.0
    least_keypoints: int = 3
    refine: bool = True


DEFAULTS = EmbeddingSettings()


def decode(
    heatmaps: np.ndarray, tags: np.ndarray, placement: Placement, settings: EmbeddingSettings = DEFAULTS
) -> list[Person]:
    """People in a network's output maps, best first, in the photograph's pixels.

    A person's score is the mean, over all 17 joints, of the heatmaps at the joints it was grouped from.

    Args:
        heatmaps: (17, h, w) float, in COCO's order; averaged over scales, where the network answers several.
        tags: (17, h', w') float, or (17, D, h', w') for tags of D dimensions; both span the whole input.
        placement: where the photograph lies in the input that the maps span.

    Raises:
        UsageError: shapes that do not fit, values that are not finite or beyond 1e6, or an input beyond 2^22 pixels.
    """
    maps = _Maps(heatmaps, tags, placement.input_size)
    joints = [_candidates(maps, joint, settings) for joint in range(_JOINTS)]
    groups = group([c.tags for c in joints], [c.score for c in joints], settings.tag_threshold, settings.most_people)
    keep = (groups.members >= 0).sum(axis=1) >= settings.least_keypoints
    groups = Groups(groups.members[keep], groups.tags[keep])
    xy, scores = np.full((*groups.members.shape, 2), np.nan), np.zeros(groups.members.shape)
    for joint, candidates in enumerate(joints):
        has = groups.members[:, joint] >= 0
        xy[has, joint] = candidates.xy[groups.members[has, joint]]
        scores[has, joint] = candidates.score[groups.members[has, joint]]
    person_scores = scores.mean(axis=1)
    if settings.refine:
        _fill(maps, groups, xy, scores)
    return COCO.people(placement.cells_to_image(xy, maps.size), scores, person_scores)


@dataclass(frozen=True)
class _Candidates:
    """Peaks of one joint: xy (N, 2) in pixels of the input, score (N,), tags (N, D)."""

    xy: np.ndarray
    score: np.ndarray
    tags: np.ndarray


class _Maps:
    """A network's maps, each at the input's resolution when it is asked for: all at once would not fit a large input.

    Heatmaps are smooth and interpolated cubically; tags jump from person to person, where cubic would overshoot.
    """

    def __init__(self, heatmaps: np.ndarray, tags: np.ndarray, input_size: Size) -> None:
        self._heat = check_maps("heatmaps", heatmaps, ((_JOINTS,),))
        tags = check_maps("tags", tags, ((_JOINTS,), (_JOINTS, 0)))
        self._tags = tags[:, None] if tags.ndim == 3 else tags
        maps = (self._heat.shape[1:], self._tags.shape[2:])
        self.size = (max(input_size[0], *(s[0] for s in maps)), max(input_size[1], *(s[1] for s in maps)))
        if self.size[0] * self.size[1] > _MOST_PIXELS:
            raise UsageError(
                f"an input of {self.size} is beyond the {_MOST_PIXELS} pixels that are decoded; take a smaller one"
            )

    def heat(self, joint: int) -> np.ndarray:
        """(h, w) float32. What is flat stays so: rounding would make peaks of it."""
        heat = self._heat[joint]
        if heat.min() == heat.max():
            return np.full(self.size, heat[0, 0], np.float32)
        return cv2.resize(heat, self.size[::-1], interpolation=cv2.INTER_CUBIC)

    def tags(self, joint: int) -> np.ndarray:
        """(D, h, w) float32."""
        scaled = [cv2.resize(channel, self.size[::-1], interpolation=cv2.INTER_LINEAR) for channel in self._tags[joint]]
        return np.stack(scaled) if len(scaled) > 1 else scaled[0][None]


def _candidates(maps: _Maps, joint: int, settings: EmbeddingSettings) -> _Candidates:
    heat = maps.heat(joint)
    peaks = local_maxima(heat, settings.kernel, settings.peak_threshold, settings.most_people)
    tags = maps.tags(joint)[:, peaks.row, peaks.column].T
    return _Candidates(_adjust(heat, peaks.row, peaks.column), peaks.score, tags)


def _fill(maps: _Maps, groups: Groups, xy: np.ndarray, scores: np.ndarray) -> None:
    """Give every person every joint it lacks, from the whole map, unless the heatmap is not above 0 there.

    xy (P, 17, 2) and scores (P, 17) are changed.
    """
    lacking = groups.members < 0
    for joint in np.flatnonzero(lacking.any(axis=0)).tolist():
        people = np.flatnonzero(lacking[:, joint])
        heat = maps.heat(joint)
        row, column = _best_match(heat, maps.tags(joint), groups.tags[people])
        there = heat[row, column] > 0
        people, row, column = people[there], row[there], column[there]
        xy[people, joint] = _adjust(heat, row, column)
        scores[people, joint] = heat[row, column]


def _best_match(heat: np.ndarray, tags: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row (P,) and column (P,) of the largest heat - (distance to a person's tag, rounded), over the whole map.

    Args:
        heat: (h, w). tags: (D, h, w). wanted: (P, D), the people's tags.
    """
    best = np.zeros(len(wanted), np.intp)
    value = np.empty_like(heat)
    for person, tag in enumerate(wanted.astype(np.float32)):
        if len(tags) == 1:
            np.subtract(tags[0], tag[0], out=value)
            np.abs(value, out=value)
        else:
            value = np.linalg.norm(tags - tag[:, None, None], axis=0)
        np.rint(value, out=value)
        np.subtract(heat, value, out=value)
        best[person] = value.argmax()
    return np.divmod(best, heat.shape[1])


def _adjust(heat: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """(N, 2) x, y: a quarter of a pixel from (row, column) towards the higher of the neighbours on either side."""
    height, width = heat.shape
    across = heat[row, np.minimum(column + 1, width - 1)] - heat[row, np.maximum(column - 1, 0)]
    down = heat[np.minimum(row + 1, height - 1), column] - heat[np.maximum(row - 1, 0), column]
    return np.stack([column + 0.25 * np.sign(across), row + 0.25 * np.sign(down)], axis=1)
