"""JSON's values as values of a type, each entry checked against the type's annotations."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache, partial
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

from fleetpose.codec.checks import (
    REFUSALS,
    WORDS,
    Mismatch,
    check_kind,
    check_number,
    choice_check,
    entries_of,
    finite_number,
    place_of,
    refusal,
    wrong,
)
from fleetpose.errors import DataError, unknown_name
from fleetpose.json_fields import FieldSettings, layout_of

Value = TypeVar("Value")
Decoder = Callable[[Any], Any]


def decode(kind: type[Value], value: Any, where: str = "") -> Value:
    """The inverse of `encode`: a value of type `kind` of JSON's (or TOML's) values.

    Args:
        where: what errors begin with, such as the file's path.

    Raises:
        DataError: an entry is missing, unknown, of another type or out of bounds, or the class refuses it.
        TypeError: `kind` has annotations that no JSON is defined for.
    """
    try:
        return _decoder(kind)(value)  # type: ignore[arg-type]  # types have hashes
    except Mismatch as error:
        subject = ": ".join(filter(None, (where, error.place.lstrip(".")))) or "it"
        raise DataError(f"{subject}{error}".removeprefix("it: ")) from error.__cause__


def check_entries(value: Any, kinds: Mapping[str, Any], where: str = "", needed: Sequence[str] = ()) -> dict[str, Any]:
    """`value` if it is an object whose entries are of these types as far as it has them; others are not looked at.

    Args:
        kinds: types, as annotations, by key.
        where: what errors begin with.
        needed: keys that must be there.

    Raises:
        DataError: as `decode` does.
    """
    content = decode(dict[str, Any], value, where)
    for key in needed:
        if key not in content:
            raise DataError(f"{where or 'it'} has no {key!r}")
    for key, kind in kinds.items():
        if key in content:
            decode(dict[str, kind], {key: content[key]}, where)  # type: ignore[valid-type]
    return content


@cache
def _decoder(hint: Any) -> Decoder:
    """The function that checks and converts JSON for a type, made once."""
    origin = typing.get_origin(hint)
    if origin in _BY_ORIGIN:
        return _BY_ORIGIN[origin](origin, typing.get_args(hint))
    if hint is Any:
        return lambda value: value
    if hint is float:
        return check_number
    if hint in WORDS:
        return partial(check_kind, hint)
    if hint is Path:
        return lambda value: Path(check_kind(str, value))
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return choice_check(hint, [member.value for member in hint])
    raise TypeError(f"no JSON is defined for {hint}")


def _bounded(_origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    kind, bound = arguments
    read = _decoder(kind)

    def check(value: Any) -> Any:
        number = read(value)
        if not bound.holds(number):
            raise wrong(value, f"{WORDS[kind]} {bound.words}")
        return number

    return check


def _optional(_origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    if len(arguments) != 2 or types.NoneType not in arguments:
        raise TypeError(f"no JSON is defined for a union of {arguments}")
    read = _decoder(next(kind for kind in arguments if kind is not types.NoneType))
    return lambda value: None if value is None else read(value)


def _sequence(origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    kinds = [kind for kind in arguments if kind is not Ellipsis]
    readers = [_decoder(kind) for kind in kinds]
    fixed = origin is tuple and kinds == list(arguments)
    convert = origin if origin in (list, frozenset) else tuple

    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise wrong(value, "a list")
        if fixed and len(value) != len(readers):
            raise wrong(value, f"a list of {len(readers)}")
        entries: list[Any] = []
        try:
            for decoder, entry in zip(readers if fixed else repeat(readers[0]), value, strict=False):
                entries.append(decoder(entry))
        except Mismatch as error:
            error.place = f"[{len(entries)}]{error.place}"
            raise
        return convert(entries)

    return read


def _mapping(_origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    kind, read = arguments[0], _decoder(arguments[1])
    read_key = finite_number if kind is float else kind

    def read_entries(value: Any) -> dict[Any, Any]:
        key, entries = "", {}
        try:
            for key, entry in entries_of(value):
                entries[read_key(key)] = read(entry)
        except Mismatch as error:
            error.place = place_of(key) + error.place
            raise
        except ValueError as error:
            raise wrong(key, f"{WORDS[kind]}, which its keys are") from error
        return entries

    return read_entries


def _object(kind: type) -> Decoder:
    """Reads a dataclass: each entry by its field's type; those of fields with a default may be missing."""
    hints, layout = typing.get_type_hints(kind, include_extras=True), layout_of(kind)
    readers = {settings.key: (name, _field_decoder(hints[name], settings)) for name, _, settings in layout}
    needed = [settings.key for _, default, settings in layout if settings.needed or default is dataclasses.MISSING]
    ignored = getattr(kind, "json_properties", ())

    def read(value: Any) -> Any:
        key, arguments = "", {}
        try:
            for key, entry in entries_of(value):
                if key in readers:
                    name, decoder = readers[key]
                    arguments[name] = decoder(entry)
        except Mismatch as error:
            error.place = place_of(key) + error.place
            raise
        for key in value if len(arguments) < len(value) else ():
            if key not in readers and key not in ignored:
                raise Mismatch(f": {unknown_name('key', key, readers)}")
        for key in needed:
            if key not in value:
                raise Mismatch(f" has no {key!r}")
        try:
            return kind(**arguments)
        except REFUSALS as error:
            raise refusal(error) from error

    return read


def _field_decoder(hint: Any, settings: FieldSettings) -> Decoder:
    if settings.decode is None and settings.null is None:
        return _decoder(hint)
    convert = settings.decode or _decoder(hint)

    def read(value: Any) -> Any:
        try:
            return settings.null if value is None and settings.null is not None else convert(value)
        except REFUSALS as error:
            raise refusal(error) from error

    return read


_BY_ORIGIN: dict[Any, Callable[[Any, tuple[Any, ...]], Decoder]] = {
    **dict.fromkeys((dict, Mapping), _mapping),
    **dict.fromkeys((list, tuple, frozenset, Sequence), _sequence),
    **dict.fromkeys((Union, types.UnionType), _optional),
    Annotated: _bounded,
    Literal: choice_check,
}
