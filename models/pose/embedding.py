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
from models.pose.coco import people_from_coco
from models.pose.maps import checked
from models.pose.maxima import Maxima, local_maxima
from models.pose.person import Person
from models.pose.skeleton import COCO_PARTS
from models.pose.tags import Groups, group
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
    found, tags_at = [], []
    for joint in range(_JOINTS):
        peaks = local_maxima(maps.heat(joint), settings.kernel, settings.peak_threshold, settings.most_people)
        found.append(peaks)
        tags_at.append(maps.tags(joint)[:, peaks.row, peaks.column].T)
    groups = group(tags_at, [peaks.score for peaks in found], settings.tag_threshold, settings.most_people)
    keep = (groups.members >= 0).sum(axis=1) >= settings.least_keypoints
    groups = Groups(groups.members[keep], groups.tags[keep])
    xy, scores = _locate(maps, found, groups, settings.refine)
    grouped = np.where(groups.members >= 0, scores, 0)
    return people_from_coco(placement.cells_to_image(xy, maps.size), scores, grouped.mean(axis=1))


class _Maps:
    """A network's maps, each at the input's resolution when it is asked for: all at once would not fit a large input.

    Heatmaps are smooth and interpolated cubically; tags jump from person to person, where cubic would overshoot.
    """

    def __init__(self, heatmaps: np.ndarray, tags: np.ndarray, input_size: Size) -> None:
        self._heat = checked("heatmaps", heatmaps, ((_JOINTS,),))
        tags = checked("tags", tags, ((_JOINTS,), (_JOINTS, 0)))
        self._tags = tags[:, None] if tags.ndim == 3 else tags
        maps = (self._heat.shape[1:], self._tags.shape[2:])
        self.size = (max(input_size[0], *(s[0] for s in maps)), max(input_size[1], *(s[1] for s in maps)))
        if self.size[0] * self.size[1] > _MOST_PIXELS:
            raise UsageError(f"an input of {self.size} is beyond the {_MOST_PIXELS} pixels that are decoded")

    def heat(self, joint: int) -> np.ndarray:
        """(h, w) float32."""
        return cv2.resize(self._heat[joint], self.size[::-1], interpolation=cv2.INTER_CUBIC)

    def tags(self, joint: int) -> np.ndarray:
        """(D, h, w) float32."""
        scaled = [cv2.resize(one, self.size[::-1], interpolation=cv2.INTER_LINEAR) for one in self._tags[joint]]
        return np.stack(scaled) if len(scaled) > 1 else scaled[0][None]


def _locate(maps: _Maps, found: list[Maxima], groups: Groups, refine: bool) -> tuple[np.ndarray, np.ndarray]:
    """(P, 17, 2) x, y in pixels of the input, NaN where not found, and (P, 17) scores, 0 there."""
    people = len(groups.members)
    xy, scores = np.full((people, _JOINTS, 2), np.nan), np.zeros((people, _JOINTS))
    for joint, peaks in enumerate(found):
        member = groups.members[:, joint]
        has, lacks = np.flatnonzero(member >= 0), np.flatnonzero(member < 0)
        if not len(has) and not (refine and len(lacks)):
            continue
        heat = maps.heat(joint)
        xy[has, joint] = _adjusted(heat, peaks.row[member[has]], peaks.column[member[has]])
        scores[has, joint] = peaks.score[member[has]]
        if refine and len(lacks):
            row, column = _best_match(heat, maps.tags(joint), groups.tags[lacks])
            there = heat[row, column] > 0
            xy[lacks[there], joint] = _adjusted(heat, row[there], column[there])
            scores[lacks[there], joint] = heat[row, column][there]
    return xy, scores


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


def _adjusted(heat: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """(N, 2) x, y: a quarter of a pixel from (row, column) towards the higher of the neighbours on either side."""
    height, width = heat.shape
    across = heat[row, np.minimum(column + 1, width - 1)] - heat[row, np.maximum(column - 1, 0)]
    down = heat[np.minimum(row + 1, height - 1), column] - heat[np.maximum(row - 1, 0), column]
    return np.stack([column + 0.25 * np.sign(across), row + 0.25 * np.sign(down)], axis=1)
