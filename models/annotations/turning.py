"""Annotations of a photograph beside the photograph: found, of its size, and turned upright with it.

A camera that was held upright stores a picture that lies on its side, and a note (EXIF's orientation) that it is to
be turned. `models.preprocess.read_image` turns it, as browsers do. COCO's width and height are those of the picture
that the annotations were made on: where they are the turned picture's, so are the annotations; where they are the
stored one's, a tool that ignores EXIF made them, and they are turned here as the picture is. Of pictures that are
turned by half no size tells; they are taken to be annotated as they are shown. A picture that was mirrored as well is
refused where its sizes differ, since nobody knows whose left was meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from models.annotations.photograph import AnnotatedPhotograph
from models.annotations.pictures import check_whole, read_head
from models.annotations.regions import Outline, parse_outline
from models.preprocess import read_image

#: EXIF orientations that turn a picture by a quarter: to the right, which counts x from the other end; to the left, y
_TURNS = {6: (True, False), 8: (False, True)}


def photographs_in(
    photographs: Sequence[AnnotatedPhotograph], folder: Path, decode: bool = False
) -> list[tuple[Path, AnnotatedPhotograph]]:
    """Annotated photographs with their files in a folder, the annotations as `as_shown` answers them.

    Raises:
        UsageError: some files are missing, or one is no whole picture of its annotated size.
    """
    paths = [folder / photograph.name for photograph in photographs]
    missing = [path for path in paths if not is_file(path)]
    if missing:
        first = f"{missing[0].name!r:.80}"
        raise UsageError(f"{len(missing)} of {len(paths)} photographs are missing in {folder}, the first is {first}")
    return [(path, as_shown(photograph, path, decode)) for path, photograph in zip(paths, photographs, strict=True)]


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def as_shown(photograph: AnnotatedPhotograph, path: Path, decode: bool = False) -> AnnotatedPhotograph:
    """The annotations in pixels of the picture that `read_image` answers.

    Args:
        path: the photograph's file.
        decode: decode the whole picture, so that all that is wrong with it is found now.

    Raises:
        UsageError: the file is missing, damaged or empty, or a picture of another size.
    """
    check_whole(path)
    head = read_head(path)
    upright = head is not None and head.orientation == 1 and head.size == photograph.size
    if upright and not decode:
        return photograph
    pixels = read_image(path)
    size = (pixels.shape[0], pixels.shape[1])
    if size == photograph.size:
        return photograph
    if head is not None and head.orientation in _TURNS and size == photograph.size[::-1]:
        return turn(photograph, head.orientation)
    shown, annotated = f"{size[1]} x {size[0]}", f"{photograph.size[1]} x {photograph.size[0]}"
    raise UsageError(f"{path} is {shown} but annotated as {annotated}")


def turn(photograph: AnnotatedPhotograph, orientation: int) -> AnnotatedPhotograph:
    """The annotations of a stored picture as those of the picture turned upright, by an orientation of `_TURNS`."""
    keypoints = photograph.keypoints.copy()
    labelled = keypoints[:, :, 2] > 0
    keypoints[:, :, :2][labelled] = _turn_points(keypoints[:, :, :2][labelled], photograph.size, orientation)
    corners = np.stack([photograph.boxes[:, :2], photograph.boxes[:, :2] + photograph.boxes[:, 2:]], axis=1)
    turned = _turn_points(corners, photograph.size, orientation)
    low, high = turned.min(axis=1), turned.max(axis=1)
    segmentations = tuple(
        _turn_segmentation(
            parse_outline(segmentation, photograph.size, photograph.title(index)), photograph.size, orientation
        )
        for index, segmentation in enumerate(photograph.segmentations)
    )
    return replace(
        photograph,
        size=photograph.size[::-1],
        keypoints=keypoints,
        boxes=np.concatenate([low, high - low], axis=1),
        segmentations=segmentations,
    )


def _turn_points(points: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """(..., 2) x, y from the corner of a stored picture of (height, width), as in the turned one."""
    from_right, from_below = _TURNS[orientation]
    x, y = points[..., 1], points[..., 0]
    return np.stack([size[0] - x if from_right else x, size[1] - y if from_below else y], axis=-1)


def _turn_segmentation(outline: Outline | None, size: tuple[int, int], orientation: int) -> Any:
    if outline is None:
        return None
    if outline.runs is None:
        return [_turn_points(polygon, size, orientation).ravel().tolist() for polygon in outline.polygons]
    from_right, from_below = _TURNS[orientation]
    inside = np.repeat(np.arange(len(outline.runs)) % 2, outline.runs)
    mask = inside.reshape(size[1], size[0])  # read column by column, so this is the picture transposed
    mask = mask[:, :: -1 if from_right else 1][:: -1 if from_below else 1]
    return {"size": list(mask.shape), "counts": _run_lengths(mask.T.ravel())}


def _run_lengths(flat: np.ndarray) -> list[int]:
    """How many zeros come first, then how many ones, and so on."""
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    return np.diff(edges, prepend=0, append=len(flat)).tolist()
