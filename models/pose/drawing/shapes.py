"""Smooth shapes blended into a picture: convex polygons, capsules, and text. Knows nothing of people."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

#: Fractional bits of polygon corners: edges are placed to 1/16 pixel.
_BITS = 4
#: Text is rendered at this font scale, and then reduced, so that small text is smooth with any version of OpenCV.
_FONT, _FONT_SCALE, _FONT_THICKNESS = cv2.FONT_HERSHEY_SIMPLEX, 3.0, 7


def bgr(rrggbb: str) -> np.ndarray:
    """(3,) float32 of a colour as pages of the web write it, without the #."""
    return np.array(list(bytes.fromhex(rrggbb))[::-1], np.float32)


def capsule(start: np.ndarray, end: np.ndarray, half: float) -> np.ndarray:
    """(24, 2) corners, pixels, of all points within `half` of the segment; a disc where its ends coincide."""
    along = np.arctan2(end[1] - start[1], end[0] - start[0])
    turn = along + np.linspace(-np.pi / 2, np.pi / 2, 12)
    cap = half * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([end + cap, start - cap])


def fill(canvas: np.ndarray, corners: np.ndarray, colour: np.ndarray, opacity: float) -> None:
    """Blend an anti-aliased convex polygon into `canvas`, (H, W, 3) uint8 BGR; what lies beyond it is clipped."""
    region, mask = _coverage(canvas, corners)
    _blend(region, mask, colour, opacity)


class Overlay:
    """Shapes that are laid over a part of a picture together: a later one takes the place of those before it.

    Args:
        canvas: (H, W, 3) uint8 BGR, changed by `blend`.
        box: (left, top, right, bottom) of all shapes' centres, pixels; may lie beyond the canvas.
        margin: pixels that shapes reach beyond the box.
    """

    def __init__(self, canvas: np.ndarray, box: tuple[float, float, float, float], margin: float) -> None:
        height, width = canvas.shape[:2]
        limits = np.array((width, height))
        self._low = np.clip(np.floor(np.array(box[:2]) - margin) - 2, 0, limits).astype(int)
        high = np.clip(np.ceil(np.array(box[2:]) + margin) + 3, 0, limits).astype(int)
        self._region = canvas[self._low[1] : high[1], self._low[0] : high[0]]
        #: colour times opacity, then opacity
        self._values = np.zeros((*self._region.shape[:2], 4), np.float32)

    def fill(self, corners: np.ndarray, colour: np.ndarray, opacity: float) -> None:
        """Lay an anti-aliased convex polygon over what is there."""
        region, mask = _coverage(self._values, corners - self._low)
        value = np.append(colour * opacity, opacity).astype(np.float32)
        region += (value - region) * (mask[:, :, None] * np.float32(1 / 255))

    def blend(self) -> None:
        """Blend all into the canvas. Call it once."""
        kept = self._region * (1 - self._values[:, :, 3:])
        self._region[:] = np.round(kept + self._values[:, :, :3]).astype(np.uint8)


def _coverage(canvas: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of `canvas` that a convex polygon may touch, as a view, and (H, W) uint8 how much of it it covers."""
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, 0, (width, height)).astype(int)
    region = canvas[low[1] : max(low[1], high[1]), low[0] : max(low[0], high[0])]
    mask = np.zeros(region.shape[:2], np.uint8)
    if mask.size:
        # Far corners are pulled in, so that they fit OpenCV's fixed point numbers.
        fixed = np.round(np.clip(corners - low, -30000, 30000) * (1 << _BITS)).astype(np.int32)
        cv2.fillConvexPoly(mask, fixed, 255, cv2.LINE_AA, _BITS)
    return region, mask


def text_width(text: str, height: int) -> int:
    """Pixels `text` takes at digits `height` pixels high."""
    return int(_letters(text, height).shape[1])


def write(canvas: np.ndarray, text: str, left: int, top: int, height: int, colour: np.ndarray) -> None:
    """Blend `text`, its digits and capitals `height` pixels high, into `canvas`; clipped at its edges."""
    _stamp(canvas, _letters(text, height), left, top, colour)


def outlined(
    canvas: np.ndarray, text: str, left: int, top: int, height: int, colour: np.ndarray, around: np.ndarray
) -> None:
    """`write` on any background: the letters have an outline in the colour `around`."""
    border = max(1, round(0.15 * height))
    letters = np.pad(_letters(text, height), border)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * border + 1, 2 * border + 1))
    _stamp(canvas, cv2.dilate(letters, kernel), left - border, top - border, around)
    write(canvas, text, left, top, height, colour)


@lru_cache(maxsize=512)
def _letters(text: str, height: int) -> np.ndarray:
    """(height or more, width) uint8 coverage of `text`, from the top of digits down to its lowest ink."""
    (width, tall), below = cv2.getTextSize(text, _FONT, _FONT_SCALE, _FONT_THICKNESS)
    (_, digits), _ = cv2.getTextSize("0", _FONT, _FONT_SCALE, _FONT_THICKNESS)
    base = max(tall, digits) + 10

    def render(letters: str) -> tuple[np.ndarray, np.ndarray]:
        large = np.zeros((base + below + 10, width + 80), np.uint8)
        cv2.putText(large, letters, (10, base), _FONT, _FONT_SCALE, 255, _FONT_THICKNESS, cv2.LINE_AA)
        return large, np.flatnonzero(large.any(axis=1))

    large, rows = render(text)
    digit_rows = render("0")[1]
    columns = np.flatnonzero(large.any(axis=0))
    large = large[digit_rows[0] : max(rows[-1], digit_rows[-1]) + 1, columns[0] : columns[-1] + 1]
    scale = height / len(digit_rows)
    size = max(1, round(large.shape[1] * scale)), max(height, round(large.shape[0] * scale))
    mask = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
    mask.setflags(write=False)
    return mask


def _stamp(canvas: np.ndarray, mask: np.ndarray, left: int, top: int, colour: np.ndarray) -> None:
    rows, columns = max(0, -top), max(0, -left)
    region = canvas[max(0, top) : max(0, top + mask.shape[0]), max(0, left) : max(0, left + mask.shape[1])]
    _blend(region, mask[rows : rows + region.shape[0], columns : columns + region.shape[1]], colour, 1.0)


def _blend(region: np.ndarray, mask: np.ndarray, colour: np.ndarray, opacity: float) -> None:
    share = mask[:, :, None].astype(np.float32) * np.float32(opacity / 255)
    region[:] = np.round(region + (colour - region) * share).astype(np.uint8)
