"""Ids of photographs, annotations and categories, and which category is the person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleetpose.errors import UsageError
from models.pose.skeleton import COCO_PARTS

#: texts that are as good as the number; "007" is not 7
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")

Identity = int | str


def identity(value: Any) -> Identity | None:
    """An id as it is compared: 12, 12.0 and "12" are one; None for what is no id."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if _NUMBER.fullmatch(value) else value or None
    return None


@dataclass(frozen=True)
class PersonCategory:
    """Which annotations are of people, and how their keypoints are ordered.

    Attributes:
        key: the category's id; None: every annotation is of a person.
        names: how many keypoints an annotation has.
        order: of each of COCO's 17 keypoints, which of these it is.
    """

    key: Identity | None
    names: int = len(COCO_PARTS)
    order: tuple[int, ...] = tuple(range(len(COCO_PARTS)))

    def has(self, category: Any) -> bool:
        """Whether an annotation with this "category_id" is of a person; one that has none is."""
        key = identity(category)
        return self.key is None or key is None or key == self.key


def person_category(categories: Any, entries: Sequence[dict[str, Any]], path: str) -> PersonCategory:
    """The person among a file's categories, whatever its id.

    It is the one that is called "person", else the only one with keypoints, else the only one. A file without
    categories is of people if its annotations are of one kind.

    Raises:
        UsageError: it cannot be told, or its keypoints are not COCO's.
    """
    listed = categories or []
    if not isinstance(listed, list) or not all(isinstance(category, dict) for category in listed):
        raise UsageError(f"{path}: its categories are no list of objects but {categories!r:.80}")
    if not listed:
        return PersonCategory(_only_key(entries, path))
    named = [category for category in listed if str(category.get("name")).strip().lower() == "person"]
    choices = named or listed
    if len(choices) > 1:
        choices = [category for category in choices if category.get("keypoints")] or choices
    if len(choices) > 1:
        names = ", ".join(str(category.get("name")) for category in choices)
        raise UsageError(f'{path}: which of its categories is the person? Call one "person"; there are {names:.80}')
    key = identity(choices[0].get("id"))
    if key is None and len(listed) > 1:
        raise UsageError(f"{path}: its category of people has no id but {choices[0].get('id')!r:.80}")
    return _with_order(key, choices[0].get("keypoints"), path)


def _only_key(entries: Sequence[dict[str, Any]], path: str) -> Identity | None:
    keys = {identity(entry.get("category_id")) for entry in entries} - {None}
    if len(keys) > 1:
        shown = ", ".join(sorted(map(repr, keys)))
        raise UsageError(f"{path} has no categories, and annotations of several ({shown:.80}): which is the person?")
    return next(iter(keys), None)


def _with_order(key: Identity | None, names: Any, path: str) -> PersonCategory:
    """By the names of the keypoints, where these are COCO's; 17 others are taken for COCO's in its order."""
    if not isinstance(names, list) or not names:
        return PersonCategory(key)
    plain = [re.sub(r"\W+", "_", str(name).strip().lower()) for name in names]
    if set(COCO_PARTS) <= set(plain):
        return PersonCategory(key, len(plain), tuple(map(plain.index, COCO_PARTS)))
    if len(plain) == len(COCO_PARTS):
        return PersonCategory(key)
    missing = next(part for part in COCO_PARTS if part not in plain)
    raise UsageError(f"{path}: of its people's {len(plain)} keypoints none is called {missing}; COCO's 17 are needed")
