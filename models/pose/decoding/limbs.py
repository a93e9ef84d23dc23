"""Limbs between peaks: which pairs the part-affinity fields join, and how surely.

Fields are sampled, cubically, where limbs pass, which equals upsampling all of them at a fraction of the price; and a
candidate is sampled in full only if a few probes along it leave it a chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.pose.decoding.peaks import Peaks
from models.pose.skeleton import LIMBS, PAF_CHANNELS

#: Rows of padding around each limb's field in the one picture all are sampled from: the reach of cubic interpolation.
_MARGIN = 2
#: Columns of a table of sample points; OpenCV's remap takes fewer than 32768 in either direction.
_COLUMNS = 1 << 10


@dataclass(frozen=True)
class Limbs:
    """Limbs, each (M,): the limb's index in `skeleton.LIMBS`, its start and end peak, its score."""

    limb: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray

    def at(self, where: np.ndarray) -> Limbs:
        """Those that an index or mask picks."""
        return Limbs(self.limb[where], self.start[where], self.end[where], self.score[where])


def find_limbs(peaks: Peaks, pafs: np.ndarray, samples: int, threshold: float, share: float) -> Limbs:
    """The valid limbs, each peak the start, and the end, of at most one limb of a kind; the best limb chooses first.

    A limb's samples are the field's components along it; those above `threshold` count, more than `share` of the
    `samples` must, and the mean of those that count is the limb's score (Cao et al. 2017, equation 10).

    Args:
        peaks: of maps of the same (h, w).
        pafs: (38, h, w) float32, finite.
    """
    limb, start, end = _pairs(peaks.first)
    field = _Field(pafs)
    steps = np.linspace(0, 1, samples, dtype=np.float32)
    may_miss = samples - 1 - int(np.floor(share * samples))
    probes = steps[np.unique(np.linspace(0, samples - 1, may_miss + 4).astype(int)[1:-1])]
    missed = field.along(limb, peaks.xy[start], peaks.xy[end], probes) <= threshold
    alive = missed.sum(axis=1) <= may_miss
    limb, start, end = limb[alive], start[alive], end[alive]
    along = field.along(limb, peaks.xy[start], peaks.xy[end], steps)
    counted = along > threshold
    number = counted.sum(axis=1)
    score = (along * counted).sum(axis=1, dtype=np.float64) / np.maximum(number, 1)
    return _match(Limbs(limb, start, end, score).at(number >= samples - may_miss))


class _Field:
    """All limbs' fields as one tall two-channel picture, so that one call samples any of them."""

    def __init__(self, pafs: np.ndarray) -> None:
        _, self.height, self.width = pafs.shape
        planes = pafs[np.array(PAF_CHANNELS)].transpose(0, 2, 3, 1)
        padded = np.pad(planes, ((0, 0), (_MARGIN, _MARGIN), (0, 0), (0, 0)), mode="edge")
        self.picture = np.ascontiguousarray(padded.reshape(-1, self.width, 2))

    def along(self, limb: np.ndarray, start: np.ndarray, end: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(M, steps) float32: the component of the field along start -> end at fractions `steps` of the way.

        0 where start and end are one point.
        """
        offset = (end - start).astype(np.float32)
        length = np.hypot(offset[:, 0], offset[:, 1])
        direction = offset / np.maximum(length, np.float32(1e-6))[:, None]
        row = limb * (self.height + 2 * _MARGIN) + _MARGIN
        x = start[:, :1].astype(np.float32) + offset[:, :1] * steps
        y = (start[:, 1] + row).astype(np.float32)[:, None] + offset[:, 1:] * steps
        values = self._sample(x, y)
        return values[..., 0] * direction[:, :1] + values[..., 1] * direction[:, 1:]

    def _sample(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(..., 2) float32 of the picture at x, y (...), by cubic interpolation."""
        points = np.zeros((2, -(-x.size // _COLUMNS) * _COLUMNS), np.float32)
        points[0, : x.size], points[1, : x.size] = x.ravel(), y.ravel()
        map_x, map_y = points.reshape(2, -1, _COLUMNS)
        parts = [
            cv2.remap(
                self.picture,
                map_x[at : at + _COLUMNS],
                map_y[at : at + _COLUMNS],
                cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for at in range(0, len(map_x), _COLUMNS)
        ]
        if not parts:
            return np.zeros((*x.shape, 2), np.float32)
        return np.concatenate(parts).reshape(-1, 2)[: x.size].reshape(*x.shape, 2)


def _pairs(first: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limb, start peak and end peak, each (M,), of every pair of peaks that a limb could join."""
    number = np.diff(first)
    starts, ends = np.array(LIMBS).T
    sizes = number[starts] * number[ends]
    limb = np.repeat(np.arange(len(LIMBS)), sizes)
    within = np.arange(len(limb)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    across = np.maximum(number[ends], 1)[limb]
    return limb, first[starts][limb] + within // across, first[ends][limb] + within % across


def _match(limbs: Limbs) -> Limbs:
    """Greedy: limb by limb, best first, each peak once as start and once as end of a kind of limb."""
    limbs = limbs.at(np.lexsort((-limbs.score, limbs.limb)))
    taken: set[tuple[int, int, bool]] = set()
    chosen = []
    for index, (limb, start, end) in enumerate(
        zip(limbs.limb.tolist(), limbs.start.tolist(), limbs.end.tolist(), strict=True)
    ):
        tail, head = (limb, start, False), (limb, end, True)
        if tail not in taken and head not in taken:
            taken.update((tail, head))
            chosen.append(index)
    return limbs.at(np.array(chosen, np.intp))
