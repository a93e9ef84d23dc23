"""JSON text as values, checked: the one way in which JSON from a file, a line, an archive or the network is read.

What is read is bounded in size and depth, has no key twice, no number that a 64-bit machine has no place for, and no
text that cannot be printed or be part of a file's name. So those who read it need to look at types only (`decode`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from fleetpose.errors import DataError, quoted

#: whole numbers have 64 bits at most
LARGEST_INT = 2**63 - 1


@dataclass(frozen=True)
class TextLimits:
    """What JSON text is at most.

    Attributes:
        size: bytes.
        depth: lists and objects in one another.
        nan: whether NaN and infinity may be written, which JSON has not.
    """

    size: int = 256 << 20
    depth: int = 64
    nan: bool = False


#: of a file, of a line in a file of lines, and of an answer that comes from the network
FILE, LINE, ANSWER = TextLimits(), TextLimits(size=4 << 20), TextLimits(size=16 << 20)


class NotJson(DataError):
    """Text that is no JSON at all, such as the beginning of some."""


def parse_json(text: str | bytes, limits: TextLimits = FILE, subject: str = "it") -> Any:
    """The value that JSON text stands for; a byte order mark before it is passed over.

    Args:
        subject: what errors begin with: "the plan x.json", "line 3".

    Raises:
        NotJson: it is not UTF-8, or not JSON; DataError: it is JSON beyond the limits.
    """
    try:
        value = _parse(text, limits)
    except DataError as error:
        raise type(error)(f"{subject} {error}") from None
    check_values(value, limits, subject)
    return value


def check_values(value: Any, limits: TextLimits = FILE, subject: str = "it") -> None:
    """Raise DataError for what `parse_json` refuses of values, which may be another format's."""
    try:
        _check_values(value, limits)
    except DataError as error:
        raise DataError(f"{subject} {error}") from None


def _parse(text: str | bytes, limits: TextLimits) -> Any:
    if len(text) > limits.size:
        raise DataError(f"is longer than {limits.size >> 20} MiB, the most that is read")
    try:
        content = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        return json.loads(content, object_pairs_hook=_object, parse_constant=None if limits.nan else _no_number)
    except UnicodeDecodeError as error:
        raise NotJson(f"is not JSON: byte {error.start} is not of UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON: {error}") from None
    except DataError:
        raise
    except ValueError:  # Python converts no more than some thousand digits
        raise DataError("has a whole number of more than 64 bits") from None
    except RecursionError:
        raise _too_deep(limits) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that it has twice is refused, since nobody knows which was meant."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DataError(f"has the key {quoted(key)} twice in one object")
            seen.add(key)
    return entries


def _no_number(name: str) -> NoReturn:
    raise DataError(f"has {name}, which is no number of JSON")


def _too_deep(limits: TextLimits) -> DataError:
    return DataError(f"has more than {limits.depth} lists and objects in one another")


def _check_values(value: Any, limits: TextLimits) -> None:
    """Raise DataError for what is too deep, too large, or no proper text. By levels: nothing here recurs."""
    checks = dict(_CHECKS)
    if limits.nan:
        del checks[float]
    level: list[Any] = [[value]]
    for _ in range(limits.depth + 1):
        below: list[Any] = []
        for container in level:
            for child in _unchecked(container):
                if (check := checks.get(type(child))) is not None:
                    check(child)
                elif type(child) is list or type(child) is dict:
                    below.append(child)
        level = below
    if level:
        raise _too_deep(limits)


def _unchecked(container: Any) -> Iterable[Any]:
    """The values in a list or an object that have to be looked at one by one; an object's keys are checked here."""
    if type(container) is list:
        return () if _are_plain_numbers(container) else container
    for key in container:
        _check_text(key)
    return container.values()


def _are_plain_numbers(values: list[Any]) -> bool:
    """Whether there is nothing to check in a list, because it is of numbers of one kind; at the speed of C."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return min(values) >= -LARGEST_INT and max(values) <= LARGEST_INT
    return kinds == {float} and all(map(math.isfinite, values))


def _check_int(number: int) -> None:
    if not -LARGEST_INT <= number <= LARGEST_INT:
        raise DataError("has a whole number of more than 64 bits")


def _check_float(number: float) -> None:
    if not math.isfinite(number):
        raise DataError("has a number that is too large to compute with")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise DataError(f"has a text with a zero byte: {quoted(text)}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(f"has a text with half a character: {quoted(text)}") from None


_CHECKS: dict[type, Callable[[Any], None]] = {str: _check_text, int: _check_int, float: _check_float}
