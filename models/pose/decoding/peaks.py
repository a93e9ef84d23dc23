"""Peaks of heatmaps, found as if the maps had been upsampled, at the price of the few cells that matter.

An upsampled pixel depends on the 5 x 5 cells around its own cell. So only cells that can hold a peak are upsampled:
their neighbourhoods are gathered into one matrix, and one product with the interpolation weights gives the upsampled
blocks. The cost follows the number of people, not the size of the photograph.

A cell holds at most one peak: its highest upsampled pixel, if none beside it is higher. That differs from taking every
local maximum of the upsampled map in leaving out the ripples cubic interpolation leaves on a peak's diagonal slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

#: Cells read on each side of the one that is upsampled.
_REACH = 2
#: A cell that holds a peak is at least this fraction of the largest cell around it: a Gaussian a cell wide, seen from
#: the far corner of its cell, is at 0.6 of its height.
_SHADOW = 0.5
#: Differences below this are rounding.
_ROUNDING = 1e-5
#: Cells upsampled at once, so that maps of noise stay within memory.
_CHUNK = 1 << 14
#: Cells of a part that are upsampled, the highest; more than a network's map has, so it binds on large maps of noise.
_MOST_CELLS = 1 << 12


@dataclass(frozen=True)
class Peaks:
    """Peaks of all parts, ordered by part, then best first.

    xy: (N, 2) float64, in cells of the maps, integers at cell centres.
    score: (N,) float64, the upsampled map's value there.
    part: (N,) int. first: (parts + 1,) int; the peaks of part p are first[p] to first[p + 1].
    """

    xy: np.ndarray
    score: np.ndarray
    part: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.score)


def find_peaks(maps: np.ndarray, threshold: float, radius: float, most: int, factor: int = 8) -> Peaks:
    """Local maxima of each map, upsampled `factor` times by cubic interpolation and refined below that grid.

    Args:
        maps: (parts, h, w) float32, finite.
        threshold: a peak's value is larger than this.
        radius: in cells; of two peaks of a part that are this close the lower is dropped.
        most: the best this many peaks of a part are kept, before suppression.
    """
    cells = _candidates(maps, threshold)
    chunks = [_peaks_in(maps, cells[at : at + _CHUNK], factor) for at in range(0, len(cells), _CHUNK)]
    part, xy, score = (np.concatenate(arrays) for arrays in zip(*chunks, strict=True)) if chunks else _nothing()
    order = np.lexsort((-score, part))
    part, xy, score = part[order], xy[order], score[order]
    rank = np.arange(len(part)) - np.searchsorted(part, part)
    keep = (rank < most) & (score > threshold)
    part, xy, score, rank = part[keep], xy[keep], score[keep], rank[keep]
    alive = _suppress(part, xy, rank, radius)
    part, xy, score = part[alive], xy[alive], score[alive]
    return Peaks(xy, score, part, np.searchsorted(part, np.arange(len(maps) + 1)))


def _nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(0, np.intp), np.zeros((0, 2)), np.zeros(0)


def _candidates(maps: np.ndarray, threshold: float) -> np.ndarray:
    """(N, 3) part, row, column of the cells that may hold a peak."""
    parts, height, width = maps.shape
    # One tall picture, parts kept apart by a row that wins no maximum, makes it one call instead of one per part.
    tall = np.full((parts, height + 1, width), -np.inf, np.float32)
    tall[:, :height] = maps
    around = cv2.dilate(tall.reshape(-1, width), np.ones((3, 3), np.uint8), borderValue=-np.inf)
    around = around.reshape(tall.shape)[:, :height]
    cells = np.argwhere((maps > _SHADOW * threshold) & (maps >= _SHADOW * around))
    part, row, column = cells.T
    if not len(part) or np.bincount(part).max() <= _MOST_CELLS:
        return cells
    cells = cells[np.lexsort((-maps[part, row, column], part))]
    return cells[np.arange(len(cells)) - np.searchsorted(cells[:, 0], cells[:, 0]) < _MOST_CELLS]


def _peaks_in(maps: np.ndarray, cells: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best upsampled pixel of each cell where it is a local maximum: part (N,), xy (N, 2) in cells, score (N,)."""
    part, row, column = cells.T
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (_REACH, _REACH), (_REACH, _REACH)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * _REACH + 1, 2 * _REACH + 1), axis=(1, 2))
    base = maps[part, row, column]
    # Relative to the cell itself a flat neighbourhood is exactly 0, whatever the rounding of the weights.
    around = windows[part, row, column].reshape(len(cells), -1) - base[:, None]
    side = factor + 2
    block = (around @ _upsampling(factor)).reshape(len(cells), side, side)
    inner = block[:, 1:-1, 1:-1].reshape(len(cells), -1)
    best = inner.argmax(axis=1)
    y, x = best // factor + 1, best % factor + 1
    every = np.arange(len(cells))
    centre = block[every, y, x]
    # Beyond the map's edge there is nothing to be lower than.
    left = np.where((column == 0) & (x == 1), -np.inf, block[every, y, x - 1])
    right = np.where((column == width - 1) & (x == factor), -np.inf, block[every, y, x + 1])
    above = np.where((row == 0) & (y == 1), -np.inf, block[every, y - 1, x])
    below = np.where((row == height - 1) & (y == factor), -np.inf, block[every, y + 1, x])
    highest = np.maximum(np.maximum(left, right), np.maximum(above, below))
    # Ties count, or a peak halfway between two pixels would be lost; a flat neighbourhood has no peak.
    keep = (centre >= highest - _ROUNDING) & (np.abs(around).max(axis=1) > _ROUNDING)
    fine_x = x - 1 + _vertex(left, centre, right)
    fine_y = y - 1 + _vertex(above, centre, below)
    xy = np.stack([column + (fine_x + 0.5) / factor - 0.5, row + (fine_y + 0.5) / factor - 0.5], axis=1)
    return part[keep], xy[keep], (base + centre)[keep].astype(np.float64)


def _vertex(before: np.ndarray, centre: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Offset, within half a pixel, of the top of the parabola through three neighbouring values; 0 at an edge."""
    inside = np.isfinite(before) & np.isfinite(after)
    before, after = np.where(inside, before, 0), np.where(inside, after, 0)
    bend = 2.0 * centre - before - after
    return np.where(
        inside & (bend > _ROUNDING), np.clip((after - before) / (2 * np.maximum(bend, _ROUNDING)), -0.5, 0.5), 0
    )


@cache
def _upsampling(factor: int) -> np.ndarray:
    """(25, (factor + 2) ** 2): weights of a cell's 5 x 5 neighbourhood for its upsampled block and one pixel around.

    Keys' cubic convolution with a = -0.75, sampled as OpenCV's INTER_CUBIC resize does.
    """
    at = (np.arange(-1, factor + 1) + 0.5) / factor - 0.5
    distance = np.abs(at[:, None] - np.arange(-_REACH, _REACH + 1))
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    return np.einsum("ya,xb->abyx", weights, weights).reshape(weights.shape[1] ** 2, -1).astype(np.float32)


def _suppress(part: np.ndarray, xy: np.ndarray, rank: np.ndarray, radius: float) -> np.ndarray:
    """(N,) bool: which peaks stay, best first; peaks are ordered by part and rank within it."""
    alive = np.ones(len(part), bool)
    if not len(part):
        return alive
    table = np.full((part[-1] + 1, rank.max() + 1, 2), np.nan)
    table[part, rank] = xy
    gap = table[:, :, None] - table[:, None, :]
    close = np.triu(np.einsum("pijk,pijk->pij", gap, gap) <= radius**2, k=1)
    first = np.searchsorted(part, np.arange(part[-1] + 1))
    for which, better, worse in np.argwhere(close).tolist():
        if alive[first[which] + better]:
            alive[first[which] + worse] = False
    return alive
