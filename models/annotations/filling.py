"""What the annotations of a file say of people, field by field, and what COCO's conventions say where it says nothing.

- iscrowd: 0.
- num_keypoints: never read; it is the number of keypoints whose visibility is above 0.
- bbox: what the labelled keypoints span, else the segmentation.
- area, where none is above 0: of the segmentation, else a share of the bbox or of what the keypoints span, see
  `models.annotations.areas`.
- keypoints: none is labelled; a file in which nobody has keypoints is refused.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from models.annotations.areas import box_area, extent_area
from models.annotations.columns import FARTHEST, flags, numbers, refuse_first
from models.annotations.identity import PersonCategory
from models.annotations.listing import PhotographList
from models.annotations.photograph import annotation_title
from models.annotations.regions import Outline, outline_area, outline_box, parse_outline

log = logging.getLogger("fleetpose.annotations")

#: annotations of a photograph; what has more is no annotation of people that can be told apart
MOST_PEOPLE = 1000
#: An area is at most so many times its photograph's: people reach beyond the border, but not without end.
LARGEST_AREA = 10


@dataclass(frozen=True, eq=False)
class PeopleRows:
    """A file's annotations of people, in its order: what each says, and the place of its photograph in the listing."""

    path: str
    listing: PhotographList
    entries: list[dict[str, Any]]
    places: np.ndarray

    def title(self, index: int) -> str:
        """What errors call an annotation."""
        return annotation_title(self.path, self.entries[index].get("id"), self.listing.names[self.places[index]])

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of the photograph of an annotation."""
        return self.listing.sizes[self.places[index]]

    def field(self, index: int, name: str) -> str:
        """A field of an annotation as errors quote it."""
        return f"{self.entries[index].get(name)!r:.80}"

    def outline(self, index: int) -> Outline | None:
        """The checked outline of an annotation; None where it has none."""
        return parse_outline(self.entries[index].get("segmentation"), self.size(index), self.title(index))


@dataclass(frozen=True, eq=False)
class PeopleColumns:
    """Of every annotation what `AnnotatedPhotograph` has of a person."""

    keypoints: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowds: np.ndarray


def fill_columns(rows: PeopleRows, category: PersonCategory) -> PeopleColumns:
    """What all annotations say, by the module's conventions. Raises UsageError, by name, for what is no annotation."""
    most = np.bincount(rows.places, minlength=1)
    if most.max() > MOST_PEOPLE:
        name = rows.listing.names[int(most.argmax())]
        raise UsageError(f"{rows.path}: {name:.80} has {most.max()} annotations; more than {MOST_PEOPLE} are not taken")
    keypoints = _keypoints(rows, category)
    crowds = flags([entry.get("iscrowd") for entry in rows.entries], "iscrowd", rows.title)
    labelled = np.count_nonzero(keypoints[:, :, 2], axis=1)
    spans = _spans(keypoints)
    stated = _stated_boxes(rows)
    boxes = _filled_boxes(rows, stated, spans, labelled)
    return PeopleColumns(keypoints, boxes, _areas(rows, stated, spans), crowds)


def _keypoints(rows: PeopleRows, category: PersonCategory) -> np.ndarray:
    """(N, 17, 3) in COCO's order; a visibility is 0, 1 or 2."""
    lists = [entry.get("keypoints") or None for entry in rows.entries]
    absent = lists.count(None)
    if absent and absent == len(lists):
        raise UsageError(f"{rows.title(0)} has no keypoints, and no other has; give COCO's person_keypoints_*.json")
    if absent:
        log.warning("%s: %d of %d annotations have no keypoints and do not count", rows.path, absent, len(lists))
    width = 3 * category.names
    nothing = [0.0] * width
    flat = numbers([nothing if row is None else row for row in lists], width, "keypoints", rows.title)
    keypoints = flat.reshape(-1, category.names, 3)
    if category.order != tuple(range(category.names)):
        keypoints = keypoints[:, list(category.order)]
    visible = keypoints[:, :, 2]
    refuse_first(~np.isfinite(visible).all(axis=1), lambda _: "a visibility in its keypoints is no number", rows.title)
    # False for NaN, too, which some tools write as the place of what is not labelled.
    placed = (np.abs(keypoints[:, :, :2]) <= FARTHEST).all(axis=2)
    refuse_first(((visible > 0) & ~placed).any(axis=1), lambda _: "a labelled keypoint lies at no place", rows.title)
    visible[:] = np.where(visible >= 2, 2, np.where(visible > 0, 1, 0))
    keypoints[visible == 0] = 0
    _warn_of_counts(rows, np.count_nonzero(visible, axis=1))
    return keypoints


def _warn_of_counts(rows: PeopleRows, labelled: np.ndarray) -> None:
    others = sum(
        stated is not None and stated != count
        for stated, count in zip((entry.get("num_keypoints") for entry in rows.entries), labelled.tolist(), strict=True)
    )
    if others:
        log.warning("%s: num_keypoints of %d annotations is not how many are labelled, which counts", rows.path, others)


def _stated_boxes(rows: PeopleRows) -> np.ndarray:
    """(N, 4) of the file; NaN where it has none, or one without extent."""
    nothing = [np.nan] * 4
    boxes = numbers([entry.get("bbox") or nothing for entry in rows.entries], 4, "bbox", rows.title)
    wrong = ~(np.abs(boxes) <= FARTHEST).all(axis=1) & ~np.isnan(boxes).all(axis=1)
    wrong |= (boxes[:, 2:] < 0).any(axis=1)
    refuse_first(wrong, lambda at: f"bbox is no box in a picture: {rows.field(at, 'bbox')}", rows.title)
    boxes[(boxes[:, 2:] == 0).any(axis=1)] = np.nan
    return boxes


def _spans(keypoints: np.ndarray) -> np.ndarray:
    """(N, 4) left, top, width, height of what the labelled keypoints span; infinite where there are none."""
    seen = keypoints[:, :, 2:] > 0
    low = np.where(seen, keypoints[:, :, :2], np.inf).min(axis=1)
    high = np.where(seen, keypoints[:, :, :2], -np.inf).max(axis=1)
    return np.concatenate([low, high - low], axis=1)


def _filled_boxes(rows: PeopleRows, stated: np.ndarray, spans: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    boxes = np.where(np.isnan(stated), spans, stated)
    for index in np.flatnonzero(np.isnan(stated[:, 0]) & (labelled == 0)).tolist():
        outline = rows.outline(index)
        if outline is None:
            raise UsageError(f"{rows.title(index)} has no labelled keypoint, no bbox and no segmentation")
        boxes[index] = outline_box(outline, rows.size(index))
    return boxes


def _areas(rows: PeopleRows, stated_boxes: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """(N,) of the file where it has one above 0; else of the outline, the box, or what the keypoints span."""
    areas = numbers([entry.get("area") for entry in rows.entries], None, "area", rows.title)
    largest = np.array([height * width for height, width in rows.listing.sizes], float)[rows.places] * LARGEST_AREA
    wrong = (areas < 0) | (areas > largest)
    refuse_first(wrong, lambda at: f"area {rows.field(at, 'area')} is nobody's in such a picture", rows.title)
    unknown = ~(areas > 0)
    with np.errstate(invalid="ignore"):  # spans without keypoints are infinite, and not taken
        estimates = np.where(
            np.isnan(stated_boxes[:, 0]), extent_area(*spans[:, 2:].T), box_area(*stated_boxes[:, 2:].T)
        )
    areas[unknown] = estimates[unknown]
    for index in np.flatnonzero(unknown).tolist():
        if rows.entries[index].get("segmentation"):
            outline = rows.outline(index)
            areas[index] = outline_area(outline) if outline is not None else areas[index]
    return np.maximum(areas, 1.0)
