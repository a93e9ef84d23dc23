"""Annotated people as people to learn from, and regions to learn nothing from; torch-free.

Learnt from: every person with a labelled keypoint. Ignored: crowds (`iscrowd`) and people without a labelled keypoint,
whom a network should find but no annotation shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from models.annotations.photograph import AnnotatedPhotograph
from models.annotations.reading import read_coco
from models.annotations.regions import encode, parse_outline
from models.pose.skeleton import FROM_COCO, PARTS

_NECK = PARTS.index("neck")
_SHOULDERS = (PARTS.index("right_shoulder"), PARTS.index("left_shoulder"))
#: COCO measures from the image's corner, this project from its first pixel's centre (Person.to_coco).
_CORNER = 0.5


@dataclass(frozen=True, eq=False)
class Labels:
    """What is annotated in one photograph.

    people: (P, 18, 2) pixels in the order of `skeleton.PARTS`, integers at pixel centres; NaN where not labelled.
    boxes: (P, 4) left, top, width, height in pixels.
    ignored: pycocotools' compressed run lengths of regions that nothing is learnt from.
    size: (height, width) of the photograph, as annotated.
    """

    people: np.ndarray
    boxes: np.ndarray
    ignored: tuple[dict[str, Any], ...]
    size: tuple[int, int]

    def ignored_mask(self) -> np.ndarray:
        """(height, width) uint8, 1 where nothing is learnt."""
        if not self.ignored:
            return np.zeros(self.size, np.uint8)
        return coco_mask.decode(coco_mask.merge(list(self.ignored)))


def read_annotations(path: Path | str) -> dict[str, Labels]:
    """The labels of every image of a COCO keypoint annotation file, by its "file_name".

    Raises:
        UsageError: no such file, no such format, or an annotation that cannot be understood.
    """
    return {photograph.name: labels_of(photograph) for photograph in read_coco(path)}


def labels_of(photograph: AnnotatedPhotograph) -> Labels:
    """What is learnt from a photograph. Raises UsageError for an ignored person with a damaged segmentation."""
    counted = photograph.counted
    ignored = tuple(_region(photograph, index) for index in np.flatnonzero(~counted).tolist())
    people = keypoints_from_coco(photograph.keypoints[counted])
    return Labels(people, photograph.boxes[counted], ignored, photograph.size)


def keypoints_from_coco(keypoints: np.ndarray) -> np.ndarray:
    """(P, 18, 2) of (P, 17, 3) x, y, visibility; NaN where the visibility is 0.

    The neck is halfway between the shoulders, or not there.
    """
    people = np.full((len(keypoints), len(PARTS), 2), np.nan)
    people[:, FROM_COCO] = np.where(keypoints[:, :, 2:] > 0, keypoints[:, :, :2] - _CORNER, np.nan)
    people[:, _NECK] = people[:, _SHOULDERS].mean(axis=1)
    return people


def _region(photograph: AnnotatedPhotograph, index: int) -> dict[str, Any]:
    """A person's segmentation, or else the box, as pycocotools' compressed run lengths."""
    size = photograph.size
    outline = parse_outline(photograph.segmentations[index], size, photograph.title(index))
    if outline is not None:
        return encode(outline, size)
    return coco_mask.frPyObjects(photograph.boxes[index : index + 1], *size)[0]
