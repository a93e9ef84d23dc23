"""Options: what a function may be told, a command's flags and their help, all said once, by a frozen dataclass.

@dataclass(frozen=True)
class TuneSettings:
    rounds: int = option(11, "rounds of the interleaved run that decides")

add_flags(parser, TuneSettings)
settings = from_arguments(TuneSettings, parser.parse_args())
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")


def option(default: Any, help: str, **more: Any) -> Any:
    """A field that is a flag, too: `help`, and whatever else `add_argument` is to be told; `flag` is another name."""
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
        kind = next(kind for kind in (*get_args(kinds[name]), kinds[name]) if kind is not type(None))
        if isinstance(default, bool):
            more["action"] = "store_false" if default else "store_true"
        else:
            if get_origin(kinds[name]) is tuple and "type" not in more:
                more.setdefault("nargs", "+")
            more.setdefault("type", kind)
        parser.add_argument(flag, dest=name, default=default, **more)


def from_arguments(settings: type[Settings], arguments: argparse.Namespace, **given: Any) -> Settings:
    """The dataclass with the options that were parsed, and with `given` values for its other fields."""
    options = [item for item in fields(settings) if "help" in item.metadata]  # type: ignore[arg-type]
    values = {item.name: getattr(arguments, item.name, item.default) for item in options}
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return settings(**{**plain, **given})
