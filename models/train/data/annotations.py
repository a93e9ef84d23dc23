"""COCO keypoint annotations as people to learn from, and regions to learn nothing from; torch-free.

Learnt from: every person with a labelled keypoint. Ignored: crowds (`iscrowd`) and people without a labelled keypoint,
whom a network should find but no annotation shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from fleetpose.errors import UsageError
from models.accuracy.oks import read_coco
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
        UsageError: no such file, no such format, or an annotation that is not complete.
    """
    path = Path(path)
    dataset = read_coco(path)
    images = {image["id"]: image for image in dataset["images"]}
    entries: dict[Any, list[dict[str, Any]]] = {key: [] for key in images}
    for entry in dataset["annotations"]:
        title = f"{path}: annotation {entry.get('id', '?')}"
        if entry.get("image_id") not in images:
            raise UsageError(f"{title} is of image {entry.get('image_id')!r}, which the file does not list")
        entries[entry["image_id"]].append(_check_entry(entry, title))
    return {image["file_name"]: _labels(image, entries[key], str(path)) for key, image in images.items()}


def keypoints_from_coco(flat: list[float]) -> np.ndarray:
    """(18, 2) of one annotation's 51 numbers x, y, visibility; NaN where the visibility is 0.

    The neck is halfway between the shoulders, or not there.
    """
    coco = np.asarray(flat, float).reshape(len(FROM_COCO), 3)
    people = np.full((len(PARTS), 2), np.nan)
    people[list(FROM_COCO)] = np.where(coco[:, 2:] > 0, coco[:, :2] - _CORNER, np.nan)
    people[_NECK] = people[list(_SHOULDERS)].mean(axis=0)
    return people


def _check_entry(entry: dict[str, Any], title: str) -> dict[str, Any]:
    missing = [name for name in ("keypoints", "bbox") if name not in entry]
    if missing:
        advice = "; give COCO's person_keypoints_*.json" if "keypoints" in missing else ""
        raise UsageError(f"{title} has no {' and no '.join(missing)}{advice}")
    for name, length in (("keypoints", 3 * len(FROM_COCO)), ("bbox", 4)):
        try:
            values = np.asarray(entry[name], float)
        except (TypeError, ValueError):
            values = np.zeros(0)
        if values.shape != (length,) or not np.isfinite(values).all():
            raise UsageError(f"{title}: {name} is not {length} finite numbers but {str(entry[name])[:60]}")
    return entry


def _labels(image: dict[str, Any], entries: list[dict[str, Any]], title: str) -> Labels:
    size = (int(image["height"]), int(image["width"]))
    people, boxes, ignored = [], [], []
    for entry in entries:
        keypoints = keypoints_from_coco(entry["keypoints"])
        if entry.get("iscrowd") or np.isnan(keypoints).all():
            ignored.append(_region(entry, size, title))
        else:
            people.append(keypoints)
            boxes.append(np.asarray(entry["bbox"], float))
    return Labels(np.array(people).reshape(-1, len(PARTS), 2), np.array(boxes).reshape(-1, 4), tuple(ignored), size)


def _region(entry: dict[str, Any], size: tuple[int, int], title: str) -> dict[str, Any]:
    """An annotation's segmentation (polygons, or run lengths of either kind), or else its box."""
    segmentation = entry.get("segmentation")
    title = f"{title}: annotation {entry.get('id', '?')}"
    try:
        if not segmentation:
            return coco_mask.frPyObjects(np.array([entry["bbox"]], float), *size)[0]
        if not isinstance(segmentation, dict):
            return coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
        compressed = isinstance(segmentation["counts"], bytes | str)
        region = segmentation if compressed else coco_mask.frPyObjects(segmentation, *size)
        fits = tuple(region["size"]) == size
    except Exception as error:  # pycocotools raises just that
        raise UsageError(f"{title}: its segmentation is none of COCO's kinds") from error
    if not fits:
        raise UsageError(f"{title}: its segmentation is of a picture of {region['size']}, not {list(size)}")
    return region
