"""Options: what a function may be told, a command's flags and their help, all said once, by a frozen dataclass.

    @dataclass(frozen=True)
    class TuneSettings:
        rounds: int = option(11, "rounds of the interleaved run that decides", type=COUNT)

    add_flags(parser, TuneSettings)
    settings = from_arguments(TuneSettings, parser.parse_args())

A `Number` says which numbers a flag takes, here and as the `type` of a flag by itself. Every one has bounds: no flag
takes a NaN, an infinity, or a number too large to count or to wait for.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from fleetpose.errors import UsageError, quoted

Settings = TypeVar("Settings")

#: the largest whole number and the largest other one, where a flag says nothing else
MOST_WHOLE, MOST_REAL = 2**31 - 1, 1e9


@dataclass(frozen=True)
class Number:
    """Numbers between bounds; as `type` of a flag it reads one.

    Attributes:
        whole: whether they are whole ones.
        least, most: themselves among the numbers; `above`, `below`: not themselves.
    """

    whole: bool
    least: float | None = 0
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __call__(self, text: str) -> float:
        """The number that a text is. Raises argparse.ArgumentTypeError, which argparse puts behind the flag's name."""
        try:
            value = int(text) if self.whole else float(text)
        except (ValueError, OverflowError):
            value = None
        if value is None or (fault := self.fault(value)) is not None:
            raise argparse.ArgumentTypeError(f"{quoted(text)} {f'is not {self}' if value is None else fault}")
        return value

    def fault(self, value: float) -> str | None:
        """What is wrong with a number, in words that follow it; None where nothing is."""
        if isinstance(value, float) and not math.isfinite(value):
            return f"is not {self}"
        most = (MOST_WHOLE if self.whole else MOST_REAL) if self.most is None else self.most
        outside = self._is_low(value) or (self.below is not None and value >= self.below)
        if outside or (self.whole and value != int(value)):
            return f"is not {self}"
        if value > most:
            return f"is above {most:.10g}, which is the most"
        return None

    def _is_low(self, value: float) -> bool:
        return (self.least is not None and value < self.least) or (self.above is not None and value <= self.above)

    def __str__(self) -> str:
        said = {"of at least": self.least, "above": self.above, "up to": self.most, "below": self.below}
        bounds = [f"{words} {bound:.10g}" for words, bound in said.items() if bound is not None]
        return " ".join(["a whole number" if self.whole else "a number", " and ".join(bounds)]).strip()


def whole(least: int = 0, most: int | None = None) -> Number:
    """Whole numbers from `least` to `most`, themselves among them."""
    return Number(True, least, most)


def real(
    least: float | None = 0, most: float | None = None, above: float | None = None, below: float | None = None
) -> Number:
    """Numbers of at least `least`, or above `above`; up to `most`, or below `below`."""
    return Number(False, None if above is not None else least, most, above, below)


#: what is counted and at least one; what is measured and above 0; parts of a whole that are neither none nor all of it
COUNT, POSITIVE, SHARE = whole(1), real(above=0), real(above=0, below=1)
#: seeds, of all that is drawn
SEED = whole()


def option(default: Any, help: str, **more: Any) -> Any:
    """A field that is a flag, too: `help`, and whatever else `add_argument` is to be told; `flag` is another name.

    A number is at least 0 unless its `type`, a Number, says more; `check_numbers` holds values that come
    from Python to it.
    """
    return field(default=default, metadata={"help": help, **more})


def add_flags(parser: argparse._ActionsContainer, settings: type, names: Sequence[str] = (), **defaults: Any) -> None:
    """Add a flag for every option of a dataclass.

    Args:
        settings: a dataclass; a field that is true by default becomes --no-NAME, a tuple a flag of several values.
        names: only these options, in this order (default: all).
        defaults: in place of the fields' own.
    """
    options = {item.name: item for item in fields(settings) if "help" in item.metadata}
    kinds = get_type_hints(settings)
    for name in names or options:
        default, more = defaults.get(name, options[name].default), dict(options[name].metadata)
        if name in defaults:
            more["help"] = more["help"].partition(" (default")[0]  # which argparse adds
        flag = more.pop("flag", f"--{'no-' if default is True else ''}{name.replace('_', '-')}")
        if isinstance(default, bool):
            more["action"] = "store_false" if default else "store_true"
        else:
            if get_origin(kinds[name]) is tuple and "type" not in more:
                more.setdefault("nargs", "+")
            more["type"] = _type_of(more, kinds[name])
        parser.add_argument(flag, dest=name, default=default, **more)


def _type_of(metadata: Mapping[str, Any], annotation: Any) -> Any:
    """What reads the values of an option from texts."""
    kind = next(kind for kind in (*get_args(annotation), annotation) if kind is not type(None))
    return metadata.get("type") or {int: whole(), float: real()}.get(kind, kind)


def check_numbers(settings: Any) -> None:
    """Raise UsageError for a number of a dataclass of options that its flag would not take."""
    kinds = get_type_hints(type(settings))
    for item in fields(settings):
        value = getattr(settings, item.name)
        numbers = _type_of(item.metadata, kinds[item.name]) if "help" in item.metadata else None
        if not isinstance(numbers, Number) or value is None:
            continue
        for number in value if isinstance(value, tuple) else (value,):
            if (fault := numbers.fault(number)) is not None:
                flag = item.metadata.get("flag", f"--{item.name.replace('_', '-')}")
                raise UsageError(f"{flag} {number:g} {fault}")


def from_arguments(settings: type[Settings], arguments: argparse.Namespace, **given: Any) -> Settings:
    """The dataclass with the options that were parsed, and with `given` values for its other fields."""
    options = [item for item in fields(settings) if "help" in item.metadata]  # type: ignore[arg-type]
    values = {item.name: getattr(arguments, item.name, item.default) for item in options}
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return settings(**{**plain, **given})
