"""Smooth shapes blended into a picture: convex polygons, capsules, and text. Knows nothing of people."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

#: Fractional bits of polygon corners: edges are placed to 1/16 pixel.
_BITS = 4
#: Text is rendered at this font scale, and then reduced, so that small text is smooth with any version of OpenCV.
_FONT, _FONT_SCALE, _FONT_THICKNESS = cv2.FONT_HERSHEY_SIMPLEX, 3.0, 7


def capsule(start: np.ndarray, end: np.ndarray, half: float) -> np.ndarray:
    """(24, 2) corners, pixels, of all points within `half` of the segment; a disc where its ends coincide."""
    along = np.arctan2(end[1] - start[1], end[0] - start[0])
    turn = along + np.linspace(-np.pi / 2, np.pi / 2, 12)
    cap = half * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([end + cap, start - cap])


def fill(canvas: np.ndarray, corners: np.ndarray, colour: np.ndarray, opacity: float) -> None:
    """Blend an anti-aliased convex polygon into `canvas`, (H, W, 3) uint8 BGR; what lies beyond it is clipped."""
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, 0, (width, height)).astype(int)
    if (high <= low).any():
        return
    region = canvas[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(region.shape[:2], np.uint8)
    # Far corners are pulled in, so that they fit OpenCV's fixed point numbers.
    fixed = np.round(np.clip(corners - low, -30000, 30000) * (1 << _BITS)).astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, 255, cv2.LINE_AA, _BITS)
    _blend(region, mask, colour, opacity)


def text_width(text: str, height: int) -> int:
    """Pixels `text` takes at digits `height` pixels high."""
    return int(_letters(text, height).shape[1])


def write(canvas: np.ndarray, text: str, left: int, top: int, height: int, colour: np.ndarray) -> None:
    """Blend `text`, digits and points, into `canvas`; clipped at its edges."""
    mask = _letters(text, height)
    rows, columns = max(0, -top), max(0, -left)
    region = canvas[max(0, top) : max(0, top + mask.shape[0]), max(0, left) : max(0, left + mask.shape[1])]
    _blend(region, mask[rows : rows + region.shape[0], columns : columns + region.shape[1]], colour, 1.0)


@lru_cache(maxsize=512)
def _letters(text: str, height: int) -> np.ndarray:
    """(height, width) uint8 coverage of `text`, from the top of its digits to the baseline."""
    (width, tall), below = cv2.getTextSize(text, _FONT, _FONT_SCALE, _FONT_THICKNESS)
    large = np.zeros((tall + below + 20, width + 20), np.uint8)
    cv2.putText(large, text, (10, tall + 10), _FONT, _FONT_SCALE, 255, _FONT_THICKNESS, cv2.LINE_AA)
    rows, columns = np.flatnonzero(large.any(axis=1)), np.flatnonzero(large.any(axis=0))
    large = large[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = max(1, round(large.shape[1] * height / large.shape[0]))
    mask = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    mask.setflags(write=False)
    return mask


def _blend(region: np.ndarray, mask: np.ndarray, colour: np.ndarray, opacity: float) -> None:
    share = mask[:, :, None].astype(np.float32) * np.float32(opacity / 255)
    region[:] = np.round(region + (colour - region) * share).astype(np.uint8)
