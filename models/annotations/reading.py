"""COCO keypoint files as annotated photographs: the one reader of people's own annotations.

Ids may be numbers or texts, and annotations are numbered anew. What a file leaves out is filled in
(`models.annotations.filling`), so that what is read does not depend on which tool wrote it. What contradicts itself is
refused with the photograph's name.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose.codec.text import TextLimits
from fleetpose.errors import UsageError
from fleetpose.files import read_json
from models.annotations.filling import PeopleColumns, PeopleRows, fill_columns
from models.annotations.identity import PersonCategory, identity, person_category
from models.annotations.listing import PhotographList, list_photographs
from models.annotations.photograph import AnnotatedPhotograph

log = logging.getLogger("fleetpose.annotations")

#: COCO's own file of 2017 has 228 MiB. Where nothing is labelled, some tools write NaN.
_LIMITS = TextLimits(size=1 << 31, nan=True)
#: of a COCO folder, beside images/
ANNOTATIONS = "person_keypoints.json"


def read_coco(path: Path | str) -> tuple[AnnotatedPhotograph, ...]:
    """The photographs of a COCO keypoint file in its order, each with the people in it; nothing is looked up on disk.

    Raises:
        UsageError: no such file, no such format, or an entry that cannot be understood, by its photograph's name.
    """
    with _uncollected():
        return _read(path)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage in millions of new values, which costs as much as reading; there is none."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _read(path: Path | str) -> tuple[AnnotatedPhotograph, ...]:
    content = read_json(path, "annotations", limits=_LIMITS)
    images, entries = (content.get(name) if isinstance(content, dict) else None for name in ("images", "annotations"))
    if not (isinstance(images, list) and images and isinstance(entries, list)):
        raise UsageError(f"{path} holds no COCO annotations (images with id, file_name and size; annotations)")
    if not all(isinstance(entry, dict) for entry in entries):
        wrong = next(entry for entry in entries if not isinstance(entry, dict))
        raise UsageError(f"{path}: an annotation is no object but {wrong!r:.80}")
    listing = list_photographs(images, str(path))
    category = person_category(content.get("categories"), entries, str(path))
    rows = _select(entries, category, listing, str(path))
    return _by_photograph(rows, fill_columns(rows, category))


def _select(entries: list[dict[str, Any]], category: PersonCategory, listing: PhotographList, path: str) -> PeopleRows:
    """The annotations of people in listed photographs; of others a file may have any number, but not only these."""
    people = [entry for entry in entries if category.has(entry.get("category_id"))]
    if entries and not people:
        raise UsageError(f"{path}: none of {len(entries)} annotations is of its category of people, {category.key!r}")
    keys = [identity(entry.get("image_id")) for entry in people]
    places = [None if key is None else listing.places.get(key) for key in keys]
    kept = [(entry, place) for entry, place in zip(people, places, strict=True) if place is not None]
    strays = len(people) - len(kept)
    if strays:
        stray = people[places.index(None)]
        key, image = (f"{stray.get(name)!r:.40}" for name in ("id", "image_id"))
        text = f"annotation {key} is of image {image}, which the file does not list"
        if not kept:
            raise UsageError(f"{path}: {text}, and so are all others")
        log.warning("%s: %d annotations are left out: %s", path, strays, text)
    return PeopleRows(path, listing, [entry for entry, _ in kept], np.array([place for _, place in kept], np.intp))


def _by_photograph(rows: PeopleRows, columns: PeopleColumns) -> tuple[AnnotatedPhotograph, ...]:
    listing = rows.listing
    order = np.argsort(rows.places, kind="stable")
    edges = np.searchsorted(rows.places[order], np.arange(len(listing.names) + 1))
    keypoints, boxes, areas, crowds = (
        array[order] for array in (columns.keypoints, columns.boxes, columns.areas, columns.crowds)
    )
    photographs = []
    for place, (name, size, number) in enumerate(zip(listing.names, listing.sizes, listing.numbers, strict=True)):
        part = slice(edges[place], edges[place + 1])
        indices = order[part].tolist()
        segmentations = tuple(rows.entries[index].get("segmentation") or None for index in indices)
        photographs.append(
            AnnotatedPhotograph(
                name, size, number, keypoints[part], boxes[part], areas[part], crowds[part],
                segmentations, rows.path, tuple(rows.entries[index].get("id") for index in indices),
            )
        )  # fmt: skip
    return tuple(photographs)


def counted_people(photographs: Sequence[AnnotatedPhotograph]) -> int:
    """How many people are judged and learnt from in all."""
    return sum(int(photograph.counted.sum()) for photograph in photographs)
