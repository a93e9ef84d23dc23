"""Values as JSON and back, checked: dataclasses, enums, tuples, mappings, paths and what they are made of.

`encode` goes by the value, `decode` by the type, whose annotations it checks every entry against:

    decode(Profile, tomllib.loads(text), "mine.toml")    # DataError: mine.toml: lanes is 'many', not a whole number

A field that is written otherwise than under its name and by its type says so in its metadata, and a number that is
bounded in its type (`fleetpose.json_fields`). A class attribute `json_properties` names properties that are written
after the fields, for readers, and left out when reading.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache, partial
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

from fleetpose.errors import DataError, UsageError, unknown_name
from fleetpose.json_fields import FieldSettings, layout_of

Value = TypeVar("Value")
Decoder = Callable[[Any], Any]

_WORDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}
_AS_IS = (str, int, float, bool, types.NoneType)


def encode(value: Any) -> Any:
    """A value as what `json.dumps` takes. Sets become sorted lists; what has no JSON is left as it is."""
    if type(value) in _AS_IS:
        return value
    if dataclasses.is_dataclass(value):
        return _encode_object(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [encode(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(map(encode, value))
    return str(value) if isinstance(value, Path) else value


def _encode_object(value: Any) -> dict[str, Any]:
    entries = {}
    for name, default, settings in layout_of(type(value)):  # type: ignore[arg-type]
        entry = getattr(value, name)
        if settings.omit and entry == default:
            continue
        if settings.null is not None and entry == settings.null:
            entry = None
        entries[settings.key] = (settings.encode or encode)(entry)
    return entries | {name: encode(getattr(value, name)) for name in getattr(value, "json_properties", ())}


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
    except _Mismatch as error:
        subject = ": ".join(filter(None, (where, error.place.lstrip(".")))) or "it"
        raise DataError(f"{subject}{error}".removeprefix("it: ")) from error.__cause__


class _Mismatch(Exception):
    """A predicate, " is 3, not a string", and the place that it is of; containers put their keys before it."""

    place = ""


def _wrong(value: Any, wanted: str) -> _Mismatch:
    text = repr(value)
    return _Mismatch(f" is {text if len(text) <= 80 else text[:77] + '...'}, not {wanted}")


@cache
def _decoder(hint: Any) -> Decoder:
    """The function that checks and converts JSON for a type, made once."""
    origin = typing.get_origin(hint)
    if origin in _BY_ORIGIN:
        return _BY_ORIGIN[origin](origin, typing.get_args(hint))
    if hint is Any:
        return lambda value: value
    if hint is float:
        return _number
    if hint in _WORDS:
        return partial(_exact, hint)
    if hint is Path:
        return lambda value: Path(_exact(str, value))
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _choice(hint, [member.value for member in hint])
    raise TypeError(f"no JSON is defined for {hint}")


def _exact(kind: type, value: Any) -> Any:
    if type(value) is not kind:  # not isinstance: true is no integer here
        raise _wrong(value, _WORDS[kind])
    return value


def _number(value: Any) -> float:
    if type(value) is not int and not isinstance(value, float):
        raise _wrong(value, "a number")
    if not abs(value) <= sys.float_info.max:
        raise _wrong(value, "a finite number")
    return float(value)


def _bounded(_origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    kind, bound = arguments
    read = _decoder(kind)

    def check(value: Any) -> Any:
        number = read(value)
        if not bound.holds(number):
            raise _wrong(value, f"{_WORDS[kind]} {bound.words}")
        return number

    return check


def _choice(convert: Any, values: Sequence[Any]) -> Decoder:
    def check(value: Any) -> Any:
        if not any(value == known and type(value) is type(known) for known in values):
            raise _Mismatch(f": {unknown_name('value', str(value), map(str, values))}")
        return value if convert is Literal else convert(value)

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
            raise _wrong(value, "a list")
        if fixed and len(value) != len(readers):
            raise _wrong(value, f"a list of {len(readers)}")
        entries: list[Any] = []
        try:
            for decoder, entry in zip(readers if fixed else repeat(readers[0]), value, strict=False):
                entries.append(decoder(entry))
        except _Mismatch as error:
            error.place = f"[{len(entries)}]{error.place}"
            raise
        return convert(entries)

    return read


def _mapping(_origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    read_key, read = str if arguments[0] is str else arguments[0], _decoder(arguments[1])

    def read_entries(value: Any) -> dict[Any, Any]:
        key, entries = "", {}
        try:
            for key, entry in _entries(value):
                entries[read_key(key)] = read(entry)
        except _Mismatch as error:
            error.place = _place(key) + error.place
            raise
        except ValueError as error:
            raise _wrong(key, f"{_WORDS[read_key]}, which its keys are") from error
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
            for key, entry in _entries(value):
                if key in readers:
                    name, decoder = readers[key]
                    arguments[name] = decoder(entry)
        except _Mismatch as error:
            error.place = _place(key) + error.place
            raise
        for key in value if len(arguments) < len(value) else ():
            if key not in readers and key not in ignored:
                raise _Mismatch(f": {unknown_name('key', key, readers)}")
        for key in needed:
            if key not in value:
                raise _Mismatch(f" has no {key!r}")
        try:
            return kind(**arguments)
        except (UsageError, ValueError) as error:
            raise _Mismatch(f": {error}") from error

    return read


def _entries(value: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise _wrong(value, "an object")
    return value.items()


def _place(key: str) -> str:
    return f".{key}" if key.isidentifier() else f"[{key!r}]" if key else ""


def _field_decoder(hint: Any, settings: FieldSettings) -> Decoder:
    if settings.decode is None and settings.null is None:
        return _decoder(hint)
    convert = settings.decode or _decoder(hint)

    def read(value: Any) -> Any:
        try:
            return settings.null if value is None and settings.null is not None else convert(value)
        except (UsageError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _Mismatch(f": {f'{error} is missing' if isinstance(error, KeyError) else error}") from error

    return read


_BY_ORIGIN: dict[Any, Callable[[Any, tuple[Any, ...]], Decoder]] = {
    **dict.fromkeys((dict, Mapping), _mapping),
    **dict.fromkeys((list, tuple, frozenset, Sequence), _sequence),
    **dict.fromkeys((Union, types.UnionType), _optional),
    Annotated: _bounded,
    Literal: _choice,
}
