"""The photographs that a file of annotations lists: their names, sizes and ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleetpose.errors import UsageError
from models.annotations.identity import Identity, identity

#: pixels of a side, and of a picture, which are OpenCV's own limits
_LONGEST_SIDE, _MOST_PIXELS = 1 << 20, 1 << 30


@dataclass(frozen=True)
class PhotographList:
    """Of each photograph its file name, its (height, width) and its number from 1 in the order of ids; and the place in
    these lists of every id."""

    names: list[str]
    sizes: list[tuple[int, int]]
    numbers: list[int]
    places: dict[Identity, int]


def list_photographs(images: Sequence[Any], path: str) -> PhotographList:
    """A file's "images". Raises UsageError, naming the photograph, for one without name, size or an id of its own."""
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    places: dict[Identity, int] = {}
    for place, image in enumerate(images):
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(name, str) or not name:
            raise UsageError(f"{path}: photograph {place + 1} has no file_name but {name!r:.80}")
        key = identity(image.get("id"))
        if key is None:
            raise UsageError(f"{path}: {name:.80} has no id but {image.get('id')!r:.80}")
        other = places.setdefault(key, place)
        if other != place:
            raise UsageError(f"{path}: {names[other]:.80} and {name:.80} have one id, {key!r:.80}; ids must differ")
        names.append(name)
        sizes.append(_size(image, f"{path}: {name:.80}"))
    _refuse_repeated(names, path)
    order = sorted(places, key=lambda key: (isinstance(key, str), key))
    numbers = [0] * len(names)
    for number, key in enumerate(order, 1):
        numbers[places[key]] = number
    return PhotographList(names, sizes, numbers, places)


def _size(image: dict[str, Any], title: str) -> tuple[int, int]:
    sides = identity(image.get("height")), identity(image.get("width"))
    for name, side in zip(("height", "width"), sides, strict=True):
        if not isinstance(side, int) or not 0 < side <= _LONGEST_SIDE:
            raise UsageError(f"{title}: its {name} is not a number of pixels but {image.get(name)!r:.80}")
    height, width = (side for side in sides if isinstance(side, int))
    if height * width > _MOST_PIXELS:
        raise UsageError(f"{title} is {width} x {height}, more pixels than OpenCV reads")
    return height, width


def _refuse_repeated(names: Sequence[str], path: str) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{path} lists {name:.80} twice; join its annotations under one id")
        seen.add(name)
