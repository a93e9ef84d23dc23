"""The frame every `python -m PACKAGE.VERB` shares: flags, logging, exit statuses.

A command is `run(main, parser)` where `main(arguments)` returns an exit status or None (0). Results go to stdout
(`--json`: exactly one object), everything else to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn, TextIO

from fleetpose.disk.refusals import is_disk_error, reason_and_mend, shown
from fleetpose.errors import FleetposeError, UsageError, reason
from fleetpose.native import results_apart
from fleetpose.progress import AboveProgress
from fleetpose.terminal import verdict
from fleetpose.trust import trusting

log = logging.getLogger("fleetpose")

#: where --json's object goes; None: sys.stdout
_RESULTS: ContextVar[TextIO | None] = ContextVar("results", default=None)
#: of Python's garbage: with the usual 700 objects between two, a fifth of tracing goes into looking through what lives
COLLECTIONS = (50_000, 20, 20)
#: what an error says again of the input, where that is more than a line
LONG = re.compile(r"('[^']{80})[^']+'")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names defaults, where there is one to name."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.nargs == 0 or action.default in ([], ()):
            return action.help
        if isinstance(action.default, list | tuple) and "(default" not in (action.help or ""):
            return f"{action.help} (default: {(' ' if action.nargs else 'x').join(map(str, action.default))})"
        return super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Wrong flags are errors like all others: one line, and no exit from within."""

    def error(self, message: str) -> NoReturn:
        message = LONG.sub(r"\1...'", " ".join(message.split()))
        raise UsageError(f"{message}; see {self.prog} --help")

    def print_help(self, file: Any = None) -> None:
        """Print the help at once, so that what keeps it from being printed is an error here."""
        print(self.format_help(), end="", file=file, flush=True)


def parser(prog: str, description: str, *, json_flag: bool = True) -> argparse.ArgumentParser:
    """A parser with the common flags: -v (repeatable), and --json unless `json_flag` is false."""
    command = _Parser(
        prog=f"python -m {prog}",
        description=description,
        formatter_class=_HelpFormatter,
    )
    command.add_argument("-v", "--verbose", action="count", default=0, help="more log lines; -vv adds tracebacks")
    if json_flag:
        command.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    return command


def image_size(text: str) -> tuple[int, int]:
    """ "368x656" -> (368, 656), height and width; for argparse's `type`. Raises UsageError."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and 0 < int(side[:9]) <= 1 << 14 for side in sides):
        raise UsageError(f"size {text[:80]!r} is not HEIGHTxWIDTH in pixels, such as 368x496")
    return int(sides[0]), int(sides[1])


def run(
    main: Callable[[argparse.Namespace], int | None],
    command: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse `argv`, run `main`, and turn what happens into DESIGN's exit statuses (0, 1, 2, 3; 130 on Ctrl-C)."""
    print_anything()
    try:
        arguments = command.parse_args(argv)
    except (UsageError, OSError) as error:  # wrong flags, or help that cannot be printed
        return _end(command.prog, error)
    gc.set_threshold(*COLLECTIONS)
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(arguments.verbose, 2)]
    logging.basicConfig(level=level, format="%(name)s: %(message)s", handlers=[AboveProgress(sys.stderr)])
    try:
        with trusting(getattr(arguments, "trust", False)):
            status = _run_main(main, arguments) or 0
        if sys.stdout is not None:  # None: it was closed before the process began
            sys.stdout.flush()  # so that what cannot be printed is an error, too
        return status
    except KeyboardInterrupt:
        print(f"{command.prog}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if arguments.verbose >= 2 and not isinstance(error, BrokenPipeError):
            traceback.print_exc()
        return _end(command.prog, error)


def say(prog: str, text: str) -> int:
    """Print what a program says of itself; gives the exit status, of stdout that takes it and of one that does not."""
    try:
        print(text, flush=True)
    except OSError as error:
        return _end(prog, error)
    return 0


def _end(prog: str, error: Exception) -> int:
    """Say what ended a command; gives its exit status."""
    if isinstance(error, BrokenPipeError):  # the reader, say `head`, has seen enough
        _drop_stdout()
        return 0
    status, text = _explain(error)
    print(f"{prog}: {text}", file=sys.stderr)
    return status


def print_anything() -> None:
    r"""Print what a stream's encoding lacks as "\xb1", instead of failing after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # a stream that is no file's, or closed
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _explain(error: Exception) -> tuple[int, str]:
    """The exit status and the words for what ended a command."""
    if isinstance(error, FleetposeError):
        return error.exit_status, str(error)
    if isinstance(error, OSError) and is_disk_error(error):
        _check_stdout()
        return UsageError.exit_status, f"cannot write {error.filename or 'the output'}: {reason_and_mend(error)}"
    if isinstance(error, UnicodeEncodeError) and shown(error.object) != error.object:
        return UsageError.exit_status, f"{shown(error.object)[:80]} is not UTF-8; rename the file, or its folder"
    return 1, f"{reason(error)}\n(not foreseen; -vv shows where it happened)"


def _check_stdout() -> None:
    """Drop what is waiting to be printed, where it cannot be."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()


def _drop_stdout() -> None:
    """Send the rest of stdout nowhere, so that the interpreter's last flush is quiet."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _run_main(main: Callable[[argparse.Namespace], int | None], arguments: argparse.Namespace) -> int | None:
    """`main`, with stdout for its one JSON object alone where --json asks for it."""
    if not getattr(arguments, "json", False):
        return main(arguments)
    with results_apart() as results:
        token = _RESULTS.set(results)
        try:
            return main(arguments)
        finally:
            _RESULTS.reset(token)


def print_json(value: Mapping[str, Any]) -> None:
    """Write one JSON object to stdout, whole or not at all. Raises ValueError for NaN or infinity: use None."""
    print(json.dumps(value, indent=2, allow_nan=False), file=_RESULTS.get(), flush=True)


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], verdicts: Sequence[bool | None] | None = None
) -> None:
    """Write an aligned plain-text table to stdout; numbers are right-aligned.

    verdicts: of each row whether it is good, which a terminal shows in colour; None of neither.
    """
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    numeric = [
        all(isinstance(row[column], int | float) or _is_number(row[column]) for row in rows)
        for column in range(len(header))
    ]
    for row, good in zip(cells, [None, *(verdicts or [None] * len(rows))], strict=True):
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        print(verdict("  ".join(aligned).rstrip(), good))


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
