"""What annotated views teach: heatmaps, part-affinity fields, and where they count; NumPy alone.

Heatmaps: Gaussians of 7 px at stride 8, summed and clipped at 1, and the background, 1 - their maximum. Fields: unit
vectors within one cell of a limb, averaged where limbs cross (Cao et al. 2017; Osokin 2018).
"""

from __future__ import annotations

import numpy as np

from models.pose.skeleton import HEATMAPS, LIMBS, PAF_CHANNELS, PAFS, PARTS
from models.preprocess import Size

#: Of every Gaussian, in cells.
SIGMA = 7 / 8
#: Smaller values are 0.
_LEAST = 1e-6


def target_maps(people: np.ndarray, cells: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps (19, cells, cells) and part-affinity fields (38, cells, cells), float32.

    Args:
        people: (P, 18, 2) crop pixels, integers at pixel centres; NaN where not there.
        cells: side of the maps.
        stride: pixels per cell; cell i covers the pixels [i * stride, (i + 1) * stride).
    """
    heatmaps, pafs = render_fields((people + 0.5) / stride - 0.5, (cells, cells))
    return without_tails(heatmaps), without_tails(pafs)


def render_fields(people: np.ndarray, map_size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps (19, h, w) and part-affinity fields (38, h, w), float64, of (P, 18, 2) people in cells of the maps."""
    people = np.asarray(people, float).reshape(-1, len(PARTS), 2)
    heatmaps, pafs, number = np.ones((HEATMAPS, *map_size)), np.zeros((PAFS, *map_size)), np.zeros((PAFS, *map_size))
    y, x = np.mgrid[: map_size[0], : map_size[1]].astype(float)
    heatmaps[:-1] = np.minimum(np.einsum("pkh,pkw->khw", *gaussians(people, map_size)), 1)
    heatmaps[-1] = 1 - heatmaps[:-1].max(axis=0)
    for joints in people:
        for (start, end), channels in zip(LIMBS, PAF_CHANNELS, strict=True):
            _add_limb(pafs, number, channels, joints[start], joints[end], x, y)
    return heatmaps, pafs / np.maximum(number, 1)


def without_tails(values: np.ndarray) -> np.ndarray:
    """Maps as float32, their smallest values 0.

    The far tails of Gaussians are no part of any target, and float32's denormal numbers take many times longer.
    """
    return np.where(np.abs(values) < _LEAST, 0, values).astype(np.float32)


def gaussians(points: np.ndarray, map_size: Size) -> tuple[np.ndarray, np.ndarray]:
    """The factors (P, K, h) and (P, K, w) of a Gaussian at each of (P, K, 2) points; 0 at a NaN."""
    along = [
        np.nan_to_num(np.exp(-((np.arange(length) - points[..., axis, None]) ** 2) / (2 * SIGMA**2)), nan=0.0)
        for length, axis in zip(map_size, (1, 0), strict=True)
    ]
    return along[0], along[1]


def _add_limb(
    pafs: np.ndarray,
    number: np.ndarray,
    channels: tuple[int, int],
    start: np.ndarray,
    end: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
) -> None:
    along = end - start
    length = np.hypot(*along)
    if not np.isfinite(length) or length == 0:
        return
    along = along / length
    dx, dy = x - start[0], y - start[1]
    forward, across = dx * along[0] + dy * along[1], np.abs(dx * along[1] - dy * along[0])
    inside = (forward >= -1) & (forward <= length + 1) & (across <= 1)
    for channel, component in zip(channels, along, strict=True):
        pafs[channel][inside] += component
        number[channel][inside] += 1
