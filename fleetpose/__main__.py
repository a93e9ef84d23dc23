# PYTHON_ARGCOMPLETE_OK
"""`fleetpose VERB ...`: every command of the project under one name; a verb runs what `python -m PACKAGE.VERB` runs."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from fleetpose import __version__
from fleetpose.cli import run, say
from fleetpose.commands import GROUPS, VERBS, Verb
from fleetpose.errors import FleetposeError, UsageError, unknown_name
from fleetpose.hiding import check_not_hidden


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; gives its exit status.

    Args:
        argv: the verb and its flags; None: those of this process.
    """
    if "_ARGCOMPLETE" in os.environ:
        complete()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        return say("fleetpose", overview()) or (0 if words else UsageError.exit_status)
    if words[0] == "--version":
        return say("fleetpose", f"fleetpose {__version__}")
    try:
        if words[0] not in VERBS:
            raise UsageError(f"{unknown_name('command', words[0], VERBS)}; see fleetpose --help")
        return run_verb(VERBS[words[0]], words[1:])
    except FleetposeError as error:
        print(f"fleetpose: {error}", file=sys.stderr)
        return error.exit_status


def overview() -> str:
    """The text of `fleetpose --help`."""
    width = max(map(len, VERBS)) + 2
    lines = ["usage: fleetpose VERB [flags]     (fleetpose VERB --help says which; fleetpose --version)"]
    for title, verbs in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {verb.name:{width}}{verb.help}" for verb in verbs)]
    return "\n".join(lines)


def run_verb(verb: Verb, argv: Sequence[str]) -> int:
    """Run the command behind `verb`. Raises UsageError where another package hides the one it lies in."""
    module, parser = load_verb(verb)
    return run(module.main, parser, argv)


def load_verb(verb: Verb) -> tuple[ModuleType, argparse.ArgumentParser]:
    """The module of `verb` and its parser. Raises UsageError as `run_verb` does."""
    check_not_hidden(verb.module.partition(".")[0])
    module = importlib.import_module(f"{verb.module}.__main__" if verb.is_package else verb.module)
    parser = module.make_parser()
    parser.prog = f"fleetpose {verb.name}"
    return module, parser


def complete() -> None:
    """Answer a shell that completes a command line, and exit; do nothing where argcomplete is not installed."""
    try:
        import argcomplete
    except ImportError:
        return
    start, point = int(os.environ["_ARGCOMPLETE"]), int(os.environ["COMP_POINT"])
    before = os.environ["COMP_LINE"].encode()[:point].decode(errors="ignore")
    words = argcomplete.split_line(before, len(before))[3][start:]
    if words and words[0] in VERBS:
        os.environ["_ARGCOMPLETE"] = str(start + 1)  # argcomplete reads flags after the verb, as if it were a program
        parser = load_verb(VERBS[words[0]])[1]
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("--version", action="store_true")
        parser.add_argument("verb", choices=VERBS)
    argcomplete.autocomplete(parser)


if __name__ == "__main__":
    sys.exit(main())
