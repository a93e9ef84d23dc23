"""CSV files as rows of named cells, and cells as numbers; what is no table is refused in one line, by its line.

Lines and cells have a greatest length, so that no file costs more than reading it: a quote that is never closed, or a
gigabyte without a line's end, is an error at once.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from fleetpose.errors import UsageError, unknown_name
from latency.dataset.content import open_text

#: letters
LONGEST_LINE, LONGEST_CELL = 16_384, 1024
#: a number of channels, of pixels or of groups; beyond it float32, which trees compare in, has no odd numbers
LARGEST_NUMBER = 1 << 24
#: milliseconds that a kernel or a network may take: a nanosecond to eleven days
LEAST_MS, MOST_MS = 1e-6, 1e9


@dataclass(frozen=True)
class TableRow:
    """One line of a table, with where it stands for errors."""

    values: Mapping[str, str]
    path: str
    line: int

    def number(self, name: str, default: int | None = None) -> int:
        """A positive whole number. Raises UsageError; an empty cell is `default` if there is one."""
        text = self.values[name].strip()
        if not text and default is not None:
            return default
        value = _float(text)
        if not (0 < value <= LARGEST_NUMBER and value == int(value)):
            most = f", {LARGEST_NUMBER} at most" if value > LARGEST_NUMBER else ""
            raise UsageError(f"{self.place}: {name} is {text!r:.80}, not a whole number above zero{most}")
        return int(value)

    def ms(self, name: str) -> float:
        """Milliseconds. Raises UsageError for what is no time."""
        text = self.values[name].strip()
        value = _float(text)
        if not LEAST_MS <= value <= MOST_MS:
            bounds = f", {LEAST_MS:g} to {MOST_MS:g}" if value > 0 else ""
            raise UsageError(f"{self.place}: {name} is {text!r:.80}, not milliseconds above zero{bounds}")
        return value

    @property
    def place(self) -> str:
        """The file and the line, for errors."""
        return f"{self.path}, line {self.line}"


def _float(text: str) -> float:
    """NaN for what is no number; Python's "1_000" is none in a table."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def read_rows(path: Path | str, required: Sequence[str], where: Mapping[str, Sequence[str]]) -> list[TableRow]:
    """The lines of a CSV file, which may be gzipped.

    Raises:
        UsageError: no such file, no CSV, empty, a column missing, one of `where` unknown, or a line torn.
    """
    try:
        with open_text(path) as stream:
            lines = _cells(_lines(stream, path), path)
            _, columns = next(lines, (1, []))
            _check_columns(path, columns, required, where)
            rows = [TableRow(_named(columns, cells, path, line), str(path), line) for line, cells in lines]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no CSV table: {error}") from error
    if not rows:
        raise UsageError(f"{path} has no rows")
    return rows


def _lines(stream: TextIO, path: Path | str) -> Iterator[str]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise UsageError(f"{path}, line {number} is longer than {LONGEST_LINE} letters; it begins {line[:60]!r}")
        if "\0" in line:
            raise UsageError(f"{path}, line {number} has a byte 0; a table is text in UTF-8")
        yield line


def _cells(lines: Iterator[str], path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """Of every row that is not blank the line it stands on and its cells."""
    reader, line = csv.reader(lines, strict=True), 1
    try:
        for cells in reader:
            if reader.line_num > line or max(map(len, cells), default=0) > LONGEST_CELL:
                raise UsageError(f"{path}, line {line}: a cell does not end; is a quote left open?")
            if cells:
                yield line, cells
            line += 1
    except csv.Error as error:
        raise UsageError(f"{path}, line {line}: no row of a table: {error}; is a quote left open?") from error


def _named(columns: Sequence[str], cells: Sequence[str], path: Path | str, line: int) -> dict[str, str]:
    if len(cells) != len(columns):
        raise UsageError(f"{path}, line {line}: not {len(columns)} cells, as the header has, but {len(cells)}")
    return {name: cell for name, cell in zip(columns, cells, strict=True) if name}


def _check_columns(
    path: Path | str, columns: Sequence[str], required: Sequence[str], where: Mapping[str, Sequence[str]]
) -> None:
    names = [name for name in columns if name]
    if not names:
        raise UsageError(f"{path} is empty")
    missing = [name for name in required if name not in names]
    if missing:
        raise UsageError(f"{path} has no column {missing[0]!r}; a table of latencies has {', '.join(required)}")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UsageError(f"{path} has two columns {repeated[0]!r:.80}")
    for name in where:
        if name not in names:
            raise UsageError(f"{path}: --where: {unknown_name('column', name, names)}")
