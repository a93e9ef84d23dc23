"""What JSON's single values are checked for, and the error that says which value, where, is not what it should be."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from fleetpose.errors import QUOTED, UsageError, first_line, quoted, unknown_name

WORDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}


#: what a class that is given values of the right types, or a function that reads an entry, raises where it refuses them
REFUSALS = (UsageError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Mismatch(Exception):
    """A predicate, " is 3, not a string", and the place that it is of; containers put their keys before it."""

    place = ""


def wrong(value: Any, wanted: str) -> Mismatch:
    return Mismatch(f" is {quoted(value)}, not {wanted}")


def refusal(error: BaseException) -> Mismatch:
    """The mismatch of what raised one of REFUSALS."""
    said = (
        f"{quoted(error.args[0])} is missing" if isinstance(error, KeyError) and error.args else first_line(error, 300)
    )
    return Mismatch(f": {said}")


def check_kind(kind: type, value: Any) -> Any:
    if type(value) is not kind:  # not isinstance: true is no integer here
        raise wrong(value, WORDS[kind])
    return value


def check_number(value: Any) -> float:
    if type(value) is not int and not isinstance(value, float):
        raise wrong(value, "a number")
    if not abs(value) <= sys.float_info.max:
        raise wrong(value, "a finite number")
    return float(value)


def finite_number(text: str) -> float:
    """A key that is a number. Raises ValueError for any other."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def choice_check(convert: Any, values: Sequence[Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not any(value == known and type(value) is type(known) for known in values):
            raise Mismatch(f": {unknown_name('value', str(value), map(str, values))}")
        return value if convert is Literal else convert(value)

    return check


def entries_of(value: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise wrong(value, "an object")
    return value.items()


def place_of(key: str) -> str:
    if key.isidentifier() and len(key) <= QUOTED:
        return f".{key}"
    return f"[{quoted(key)}]" if key else ""
