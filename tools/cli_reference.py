"""Write docs/cli.md, the reference of all commands, from the parsers behind their --help.

    python tools/cli_reference.py

A command is a module of the packages with a `make_parser`; nothing is listed by hand. The text depends neither on the
terminal's width nor on how a Python version lays out its help. A test compares docs/cli.md with `reference()`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("devices", "models", "codegen", "latency")
#: every command has them, so they are described once
COMMON = {"-h", "-v", "--json"}
HEAD = """# Commands

Written by `python tools/cli_reference.py` from the commands themselves; change their help, not this page.

Every command takes `-h`, `-v` (more log lines; `-vv` adds tracebacks) and, unless it says otherwise, `--json`: one JSON
object on stdout. Logs and progress go to stderr. Exit statuses: 0 done, 1 a check failed, 2 usage or bad input, 3 the
device is unreachable, 130 interrupted. No file is replaced without `--force`.
"""


def commands() -> list[str]:
    """Every command's name, as after `python -m`, by package and then by name."""
    names = []
    for package in PACKAGES:
        modules = (ROOT / package).rglob("*.py")
        paths = [path for path in modules if "\ndef make_parser(" in path.read_text(encoding="utf-8")]
        names += sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return [name.removesuffix(".__main__") for name in names]


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command, a module or a package that has a __main__."""
    folder = ROOT.joinpath(*command.split("."))
    module = importlib.import_module(f"{command}.__main__" if folder.is_dir() else command)
    return module.make_parser()


def reference() -> str:
    """The whole page."""
    pages = {command: parser_of(command) for command in commands()}
    return "\n".join([HEAD, *("\n".join(_section(command, parser)) for command, parser in pages.items())])


def _section(command: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    shown = [action for action in parser._actions if not COMMON & set(action.option_strings)]
    needed = [" ".join([*action.option_strings[-1:], _values(action)]) for action in shown if action.required]
    yield f"## {command}\n"
    yield f"{parser.description}\n"
    yield f"    python -m {' '.join([command, *needed])}" + (" ..." if len(needed) < len(shown) else "") + "\n"
    if not any("--json" in action.option_strings for action in parser._actions):
        yield "Has no `--json`.\n"
    if shown:
        yield "| flag | |\n|-|-|"
    yield from _rows(parser)
    yield from _choices_between(parser)
    yield ""


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A row for each flag, below one for the title of its group where that has one of its own."""
    formatter: Any = parser.formatter_class(parser.prog)
    for number, group in enumerate(parser._action_groups):
        shown = [action for action in group._group_actions if not COMMON & set(action.option_strings)]
        if shown and number >= 2:  # the first two are argparse's own
            yield _row(f"*{group.title}*", group.description or "")
        for action in shown:
            flag = f"{', '.join(action.option_strings)} {_values(action)}".strip()
            yield _row(f"`{flag}`", formatter._expand_help(action) if action.help else "")


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _values(action: argparse.Action) -> str:
    """What follows a flag, as usage lines write it."""
    name = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    names = [str(part) for part in name] if isinstance(name, tuple) else [str(name)]
    known = {
        None: names[:1],
        0: [],
        "?": [f"[{names[0]}]"],
        "*": [f"[{names[0]} ...]"],
        "+": [names[0], f"[{names[-1]} ...]"],
    }
    if action.nargs in known:
        return " ".join(known[action.nargs])
    return " ".join(names if len(names) > 1 else names * int(action.nargs or 1))


def _choices_between(parser: argparse.ArgumentParser) -> Iterator[str]:
    for group in parser._mutually_exclusive_groups:
        names = ", ".join(f"`{action.option_strings[-1]}`" for action in group._group_actions if action.option_strings)
        yield f"\n{'Exactly' if group.required else 'At most'} one of {names}."


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    (ROOT / "docs" / "cli.md").write_text(reference(), encoding="utf-8")
