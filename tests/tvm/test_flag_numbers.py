"""Every flag of every command that takes a number has bounds: no NaN, no infinity, nothing negative."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import pytest

from fleetpose import cli
from fleetpose.options import Number

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "cli_reference.py"))
#: no flag takes these, whatever kind of number it is about
SENSELESS = ("nan", "inf", "-inf", "-1", "1e400", "-0.5", "9" * 5000)
#: types of flags that read no number
TEXTS = (None, str, Path)


def flags_of(command: str) -> list[argparse.Action]:
    """The flags whose texts are read as something else than a text."""
    actions = TOOL["parser_of"](command)._actions
    return [action for action in actions if action.option_strings and action.type not in TEXTS]


@pytest.mark.parametrize("command", TOOL["commands"]())
def test_no_flag_takes_a_senseless_number(command, capsys):
    parser = TOOL["parser_of"](command)
    for action in flags_of(command):
        assert action.type not in (int, float), f"{command} {action.option_strings[-1]} has no bounds"
        flag, count = action.option_strings[-1], action.nargs if isinstance(action.nargs, int) else 1
        for text in SENSELESS:
            argv = [f"{flag}={text}"] if count == 1 else [flag, *[text] * count]
            status = cli.run(lambda _: pytest.fail("it was taken"), parser, argv)
            said = capsys.readouterr().err
            assert status == 2, (command, argv)
            assert said.count("\n") == 1, said
            assert len(said) < 400, said
            assert text[:3] in said or "expected" in said, f"another error than that of {argv}: {said}"


def test_flags_with_numbers_are_seen():
    """The walk above finds what it is about: the flags that an attack found unchecked are among them."""
    for command, flag in [
        ("codegen.layer", "--max-error"),
        ("codegen.tune", "--budget-secs"),
        ("latency.collect", "--budget-secs"),
        ("models.evaluate", "--seed"),
        ("latency.optimize", "--frontier"),
        ("models.train", "--scale"),
    ]:
        assert flag in [action.option_strings[-1] for action in flags_of(command)], command
    numbers = [action for command in TOOL["commands"]() for action in flags_of(command) if type(action.type) is Number]
    assert len(numbers) > 60
