"""How a dataclass's fields stand in JSON, where their names and types do not say so: metadata, and bounded numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a number has to be besides a number: `words` complete "not a number ..."."""

    words: str
    holds: Callable[[Any], bool]


ABOVE_ZERO = Bound("above 0", lambda value: value > 0)
AT_LEAST_ZERO = Bound("of at least 0", lambda value: value >= 0)
Positive = Annotated[float, ABOVE_ZERO]
PositiveInt = Annotated[int, ABOVE_ZERO]
NotNegative = Annotated[float, AT_LEAST_ZERO]
NotNegativeInt = Annotated[int, AT_LEAST_ZERO]


@dataclasses.dataclass(frozen=True)
class FieldSettings:
    """See `in_json`."""

    key: str = ""
    omit: bool = False
    needed: bool = False
    null: Any = None
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None


def in_json(key: str = "", **settings: Any) -> dict[str, Any]:
    """Metadata of a dataclass field that says how it stands in JSON.

    Args:
        key: under which it stands (default: its name).
        omit: (bool) leave it out where it has its default.
        needed: (bool) it must be there when read, although it has a default.
        null: the value that JSON's null stands for, such as an infinite one.
        encode, decode: functions from its value to JSON and back, where its type does not tell. `decode` may raise
            ValueError, TypeError, KeyError, AttributeError or UsageError.
    """
    return {"json": FieldSettings(key, **settings)}


@cache
def layout_of(kind: type) -> list[tuple[str, Any, FieldSettings]]:
    """Of each field of a dataclass its name, its default (MISSING: it has none) and how it stands in JSON."""
    layout = []
    for field in dataclasses.fields(kind):
        settings = field.metadata.get("json", FieldSettings())
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        layout.append((field.name, default, dataclasses.replace(settings, key=settings.key or field.name)))
    return layout
