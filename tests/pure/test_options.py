"""Options: one dataclass is a command's flags, their help and the function's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetpose import cli
from fleetpose.options import add_flags, from_arguments, option


@dataclass(frozen=True)
class Cooking:
    """Settings with a flag of every kind, and a field that is none."""

    guests: int
    portions: int = option(2, "of each dish")
    salt: float | None = option(None, "grams (default: by taste)")
    stir: bool = option(True, "leave it alone")
    hurry: bool = option(False, "serve it raw")
    books: tuple[Path, ...] = option((), "to read in", metavar="FILE")
    oven: str = option("gas", "what heats", choices=("gas", "wood"), flag="--stove")


def parse(*argv, names=(), **defaults):
    parser = cli.parser("cook", "Cook.")
    add_flags(parser, Cooking, names, **defaults)
    return parser, from_arguments(Cooking, parser.parse_args(argv), guests=4)


def test_flags_that_are_left_out_are_the_fields_defaults():
    assert parse()[1] == Cooking(4)


def test_every_kind_of_flag_reaches_its_field():
    flags = ("--portions", "3", "--salt", "1.5", "--no-stir", "--hurry", "--books", "a", "b", "--stove", "wood")
    assert parse(*flags)[1] == Cooking(4, 3, 1.5, False, True, (Path("a"), Path("b")), "wood")


def test_named_options_only_and_other_defaults():
    parser, settings = parse(names=("salt", "portions"), salt=0.5)
    assert settings == Cooking(4, salt=0.5)
    text = " ".join(parser.format_help().split())
    assert "grams (default: 0.5) --portions" in text
    assert "--stove" not in text


def test_a_value_of_another_kind_is_refused():
    with pytest.raises(Exception, match="invalid int value"):
        parse("--portions", "some")
