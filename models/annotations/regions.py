"""Outlines of people, COCO's "segmentation": polygons, or run lengths of either kind.

All is checked before pycocotools' C code sees it, which trusts what it is given: coordinates without bounds make it
allocate without bounds, and run lengths that do not add up make it read beyond its memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from fleetpose.errors import UsageError
from models.annotations.columns import FARTHEST

#: Pixels of all outlines of an annotation together; pycocotools takes 120 bytes for each while it draws.
LONGEST_OUTLINE = 1_000_000
#: how a character of compressed run lengths stands for 6 bits
_ZERO, _MORE, _SIGN = 48, 0x20, 0x10


@dataclass(frozen=True, eq=False)
class Outline:
    """A checked segmentation: polygons of (N, 2) corners each, or else run lengths, first of what is outside, of a
    picture read column by column."""

    polygons: tuple[np.ndarray, ...] = ()
    runs: np.ndarray | None = None


def parse_outline(segmentation: Any, size: tuple[int, int], title: str) -> Outline | None:
    """An annotation's "segmentation"; None where it has none.

    Args:
        size: (height, width) of the picture.
        title: what errors call the annotation.

    Raises:
        UsageError: it is none of COCO's kinds, of a picture of another size, or without bounds.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        return Outline(runs=_runs(segmentation, size, title))
    polygons = tuple(_polygon(corners, title) for corners in segmentation) if isinstance(segmentation, list) else ()
    polygons = tuple(polygon for polygon in polygons if len(polygon) > 2)  # a point or a line encloses nothing
    if not polygons:
        raise _no_kind(segmentation, title)
    steps = (np.abs(np.roll(polygon, 1, axis=0) - polygon).max(axis=1).sum() for polygon in polygons)
    if sum(steps) > LONGEST_OUTLINE:
        raise UsageError(f"{title}: its segmentation is longer than {LONGEST_OUTLINE} pixels")
    return Outline(polygons)


def _no_kind(segmentation: Any, title: str) -> UsageError:
    return UsageError(f"{title}: its segmentation is none of COCO's kinds: {segmentation!r:.80}")


def _polygon(corners: Any, title: str) -> np.ndarray:
    try:
        flat = np.array(corners, float) if isinstance(corners, list) else None
    except (TypeError, ValueError, OverflowError):
        flat = None
    if flat is None or flat.ndim != 1 or flat.size % 2:
        raise _no_kind(corners, title)
    if not (np.abs(flat) <= FARTHEST).all():
        raise UsageError(f"{title}: its segmentation has a corner that no picture has: {corners!r:.80}")
    return flat.reshape(-1, 2)


def _runs(segmentation: dict[str, Any], size: tuple[int, int], title: str) -> np.ndarray:
    counts, stated = segmentation.get("counts"), segmentation.get("size")
    try:
        runs = _decompress(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    except (TypeError, ValueError, OverflowError):
        raise _no_kind(segmentation, title) from None
    if runs.ndim != 1 or not runs.size:
        raise _no_kind(segmentation, title)
    if stated != list(size):
        raise UsageError(f"{title}: its segmentation is of a picture of {stated!r:.80}, not {list(size)}")
    pixels = size[0] * size[1]
    if (runs < 0).any() or (runs > pixels).any() or runs.sum() != pixels:
        raise UsageError(f"{title}: the run lengths of its segmentation do not add up to {size[0]} x {size[1]} pixels")
    return runs


def _decompress(text: str) -> np.ndarray:
    """The run lengths of COCO's compressed text. Raises ValueError for a text that is none.

    A number is of characters with 5 bits each, lowest first, a sixth that says whether more follow, and the sign in the
    last one's fifth; from the fourth number on it is the difference to the one before the last.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - _ZERO
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError(f"{chr(letter)!r} is no part of a run length")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & _MORE:
            continue
        value -= (1 << shift) if bits & _SIGN else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("it ends within a run length")
    return np.array(runs, np.int64)


def outline_area(outline: Outline) -> float:
    """Square pixels within: of polygons the sum of theirs."""
    if outline.runs is not None:
        return float(outline.runs[1::2].sum())
    return float(sum(map(_shoelace, outline.polygons)))


def _shoelace(polygon: np.ndarray) -> float:
    x, y = (polygon - polygon[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def outline_box(outline: Outline, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """(left, top, width, height) around an outline."""
    if outline.runs is not None:
        left, top, width, height = coco_mask.toBbox(encode(outline, size)).tolist()
        return left, top, width, height
    corners = np.concatenate(outline.polygons)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return left, top, right - left, bottom - top


def encode(outline: Outline, size: tuple[int, int]) -> dict[str, Any]:
    """pycocotools' compressed run lengths of an outline in a picture of (height, width)."""
    if outline.runs is not None:
        return coco_mask.frPyObjects({"size": list(size), "counts": outline.runs.tolist()}, *size)
    flat = [polygon.ravel().tolist() for polygon in outline.polygons]
    return coco_mask.merge(coco_mask.frPyObjects(flat, *size))
