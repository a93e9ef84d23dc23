"""docs/cli.md says what the commands say of themselves."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "cli_reference.py"))


def test_the_reference_is_up_to_date():
    written, wanted = (ROOT / "docs" / "cli.md").read_text(), TOOL["reference"]()
    stale = [line for line in wanted.splitlines() if line not in written.splitlines()]
    assert written == wanted, f"run python tools/cli_reference.py; new: {stale[:5]}"


@pytest.mark.parametrize("command", TOOL["commands"]())
def test_every_flag_has_a_help(command):
    parser = TOOL["parser_of"](command)
    assert parser.prog == f"python -m {command}"
    assert parser.description
    for action in parser._actions:
        assert action.help, f"{command} {action.option_strings or action.dest}"
