"""Options: one dataclass is a command's flags, their help and the function's settings."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import add_flags, check_numbers, from_arguments, option, real, whole


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


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--portions", "some"), "argument --portions: 'some' is not a whole number of at least 0"),
        (("--portions", "1.5"), "argument --portions: '1.5' is not a whole number"),
        (("--portions=-1",), "argument --portions: '-1' is not a whole number of at least 0"),
        (("--portions", "3000000000"), "'3000000000' is above 2147483647, which is the most"),
        (("--salt", "nan"), "argument --salt: 'nan' is not a number of at least 0"),
        (("--salt", "1e400"), "argument --salt: '1e400' is not a number"),
        (("--salt", "1e10"), "'1e10' is above 1000000000, which is the most"),
        (("--portions", "9" * 5000), "999... is not a whole number of at least 0"),
    ],
)
def test_numbers_out_of_bounds_are_refused_by_flag(argv, said):
    with pytest.raises(UsageError) as refused:
        parse(*argv)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("numbers", "taken", "refused"),
    [
        (whole(1, 3), ("1", "3"), ("0", "4", "2.0", "")),
        (real(), ("0", "1e3"), ("-1e-9", "nan", "inf", "-inf")),
        (real(above=0, below=1), ("0.5",), ("0", "1", "1.5")),
        (real(0, 1), ("0", "1"), ("1.01",)),
    ],
)
def test_number_takes_what_is_within_its_bounds(numbers, taken, refused):
    assert [numbers(text) for text in taken] == [float(text) for text in taken]
    for text in refused:
        with pytest.raises(argparse.ArgumentTypeError):
            numbers(text)


def test_values_from_python_are_held_to_the_same_bounds():
    check_numbers(Cooking(4))
    for wrong, said in ((Cooking(4, portions=-1), "--portions -1 is not"), (Cooking(4, salt=math.nan), "--salt nan")):
        with pytest.raises(UsageError, match=said):
            check_numbers(wrong)
