"""The photographs there are to learn from, annotated or not; torch-free.

Three layouts: a folder with person_keypoints.json and images/; any folder with annotation files given by path, whose
file names are relative to the folder or to its images/; and any folder of photographs, at any depth, for a teacher.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetpose.errors import UsageError
from models.annotations.pictures import check_whole
from models.annotations.reading import ANNOTATIONS, read_coco
from models.annotations.turning import as_shown, is_file
from models.train.data.annotations import Labels, labels_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class TrainingPhotograph:
    """A file, and what is annotated in it; None where nobody has looked."""

    path: Path
    labels: Labels | None = None


@dataclass(frozen=True, eq=False)
class Photographs:
    """A set of photographs in a fixed order."""

    items: tuple[TrainingPhotograph, ...]

    @property
    def annotated(self) -> int:
        return sum(item.labels is not None for item in self.items)

    def digest(self) -> str:
        """Hex digest of names, sizes in bytes and labels: equal for what trains equally."""
        state = hashlib.sha256()
        for item in self.items:
            state.update(f"{item.path.name} {item.path.stat().st_size}\n".encode(errors="surrogateescape"))
            if item.labels is not None:
                state.update(item.labels.people.tobytes())
                state.update(repr(item.labels.ignored).encode())
        return state.hexdigest()


def read_photographs(
    folders: Sequence[Path | str], annotations: Sequence[Path | str] = (), unlabelled: bool = False
) -> Photographs:
    """Every photograph of `folders`, with its labels.

    Args:
        annotations: COCO keypoint files; a folder's own person_keypoints.json is read without being named here.
        unlabelled: also take photographs without an annotated person, for a teacher to label.

    Raises:
        UsageError: nothing to learn from; folders, annotations or photographs that are missing or damaged.
    """
    labels: dict[Path, Labels] = {}
    paths: dict[Path, None] = {}
    for folder in map(Path, folders):
        below = images_below(folder)
        own = folder / ANNOTATIONS
        if own.is_file():
            labels.update(_locate(own, [folder]))
        paths.update(dict.fromkeys(below))
    for file in map(Path, annotations):
        labels.update(_locate(file, [Path(folder) for folder in folders]))
    paths.update(dict.fromkeys(labels))
    items = [TrainingPhotograph(file, labels.get(file)) for file in paths]
    if not unlabelled:
        items = [item for item in items if item.labels is not None and len(item.labels.people)]
    if not items:
        what = "photographs" if unlabelled else "photographs with annotated people"
        raise UsageError(
            f"no {what} in {', '.join(map(str, folders))}; --annotations, or a --teacher for those without"
        )
    for item in items:
        if item.labels is None:
            check_whole(item.path)
    return Photographs(tuple(items))


def _locate(annotations: Path, folders: Iterable[Path]) -> dict[Path, Labels]:
    """The labels of an annotation file by the path of their photograph.

    Raises UsageError for one that is missing, damaged or of another size.
    """
    places = [place for folder in folders for place in (folder, folder / "images")]
    located = {}
    for photograph in read_coco(annotations):
        path = next((place / photograph.name for place in places if is_file(place / photograph.name)), None)
        if path is None:
            where = " or ".join(map(str, places))
            raise UsageError(f"{annotations} lists {photograph.name:.80}, which is not in {where}")
        located[path] = labels_of(as_shown(photograph, path))
    return located


def images_below(folder: Path) -> list[Path]:
    """The files of photographs below a folder, sorted. Raises UsageError for what is no folder."""
    if not folder.is_dir():
        raise UsageError(f"--data {folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
