"""How deep the containers of a pickle lie in one another, and what they come to, shared ones counted at every place.

A pickle may hold a list that holds itself, or forty lists of which each holds the next one twice: what walks through
them, or only says what they are, does not end.
"""

from __future__ import annotations

from typing import Any

from fleetpose.errors import DataError
from models.zoo.stored.calls import StandIn

#: containers in one another, and values in all of them
MOST_DEPTH, MOST_VALUES = 64, 20_000_000


def check_nesting(root: Any) -> None:
    """Raise DataError for containers that hold themselves, are too deep in one another, or come to too many values."""
    counts: dict[int, int] = {}  # by the id of a container that was walked through
    open_ids: set[int] = set()
    path: list[tuple[Any, list[Any], int]] = [(root, _entries(root), 1)]
    while path:
        container, waiting, count = path.pop()
        open_ids.add(id(container))
        while waiting:
            entry = waiting.pop()
            count += counts.get(id(entry), 1)
            if id(entry) not in counts and (entries := _entries(entry)):
                if id(entry) in open_ids:
                    raise DataError("holds a container that holds itself")
                path += [(container, waiting, count - 1), (entry, entries, 1)]
                break
        else:
            open_ids.discard(id(container))
            counts[id(container)] = count
            if path:
                outer, others, outer_count = path.pop()
                path.append((outer, others, outer_count + count))
        if len(path) > MOST_DEPTH or count > MOST_VALUES:
            raise DataError(f"holds more than {MOST_DEPTH} containers in one another, or {MOST_VALUES} values")


def _entries(value: Any) -> list[Any]:
    """What a container of a pickle holds; nothing of what is none."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    return list(value.held) if isinstance(value, StandIn) else []
