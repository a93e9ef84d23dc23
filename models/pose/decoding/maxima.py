"""Local maxima by max pooling: the peaks of networks whose maps are read at their own or the input's resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Maxima:
    """Maxima of one map, best first: row (N,) and column (N,), int; score (N,) float32, the map's value there."""

    row: np.ndarray
    column: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.score)


def local_maxima(values: np.ndarray, kernel: int, threshold: float, most: int) -> Maxima:
    """The best `most` cells that are above `threshold` and the highest of the `kernel` x `kernel` around them.

    Of a plateau only its first cell counts, and a map of one value has no maximum: otherwise a saturated map would
    yield a maximum at every cell.

    Args:
        values: (h, w) float32, finite.
    """
    pooled = cv2.dilate(values, np.ones((kernel, kernel), np.uint8), borderValue=-np.inf)
    mask = (values == pooled) & (values > threshold)
    at = np.flatnonzero(mask)
    score = values.ravel()[at]
    if len(at) > 1 and len(np.unique(score)) < len(score):
        _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
        _, first = np.unique(labels.ravel()[at], return_index=True)
        at, score = at[first], score[first]
    if len(at) == 1 and values.min() == score[0]:
        at, score = at[:0], score[:0]
    best = np.argsort(-score, kind="stable")[:most]
    row, column = np.divmod(at[best], values.shape[1])
    return Maxima(row, column, score[best])
