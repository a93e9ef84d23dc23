"""What is annotated in a photograph, as values; and photographs as the one object that pycocotools takes.

Coordinates are COCO's: from the picture's top left corner, so that pixel i covers [i, i + 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: the id that people have as a category, whatever the file's own is; `Person.to_coco` writes it, too
PERSON = 1


@dataclass(frozen=True, eq=False)
class AnnotatedPhotograph:
    """A photograph that a file of annotations lists, and its P people; what the file does not say is filled in.

    Attributes:
        name: the file's "file_name".
        size: (height, width) of the picture that the annotations are of.
        number: from 1 on, in the order of the file's image ids.
        keypoints: (P, 17, 3) x, y and visibility in COCO's order; the visibility is 0, 1 or 2, and x and y are 0 where
            it is 0.
        boxes: (P, 4) left, top, width, height.
        areas: (P,) square pixels, 1 or more.
        crowds: (P,) bool: whether it is a group that nobody told apart.
        segmentations: (P,) outlines as the file has them, see `models.annotations.regions`; None where it has none.
        path: the file of annotations.
        ids: (P,) of the annotations, as that file has them; for errors.
    """

    name: str
    size: tuple[int, int]
    number: int
    keypoints: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowds: np.ndarray
    segmentations: tuple[Any, ...]
    path: str
    ids: tuple[Any, ...]

    def title(self, index: int) -> str:
        """What errors call an annotation."""
        return annotation_title(self.path, self.ids[index], self.name)

    @property
    def labelled(self) -> np.ndarray:
        """(P,) how many keypoints are labelled: COCO's num_keypoints."""
        return np.count_nonzero(self.keypoints[:, :, 2] > 0, axis=1)

    @property
    def counted(self) -> np.ndarray:
        """(P,) bool: who is judged and learnt from; the others are neither right nor wrong."""
        return ~self.crowds & (self.labelled > 0)


def annotation_title(path: str, key: Any, name: str) -> str:
    """What errors call the annotation with an id in a file, which is of the photograph of that name."""
    return f"{path}: annotation {key!r:.40} of {name:.80}"


def coco_dataset(photographs: Sequence[AnnotatedPhotograph]) -> dict[str, Any]:
    """COCO's object of photographs, as pycocotools wants it: numbers for ids, those of annotations from 1 on.

    An annotation with the id 0 would never be matched, and of two with one id pycocotools would keep one.
    """
    images = [
        {"id": photograph.number, "file_name": photograph.name, "height": height, "width": width}
        for photograph in photographs
        for height, width in [photograph.size]
    ]
    annotations: list[dict[str, Any]] = []
    for photograph in photographs:
        columns = (
            photograph.keypoints.reshape(-1, 51).tolist(),
            photograph.labelled.tolist(),
            photograph.boxes.tolist(),
            photograph.areas.tolist(),
            photograph.crowds.astype(int).tolist(),
        )
        names = ("keypoints", "num_keypoints", "bbox", "area", "iscrowd")
        for values in zip(*columns, strict=True):
            ids = {"id": len(annotations) + 1, "image_id": photograph.number, "category_id": PERSON}
            annotations.append({**ids, **dict(zip(names, values, strict=True))})
    return {"images": images, "annotations": annotations, "categories": [{"id": PERSON, "name": "person"}]}
