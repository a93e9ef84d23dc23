"""`python -m benchmarks.definitions`: public definitions of networks, traced and compared with PyTorch in float64.

    pip install ultralytics timm                          # what is to be tried; none is a dependency
    python -m benchmarks.definitions --csv definitions.csv

Each definition of an installed package that the catalogue knows is built with random weights and traced at a small
size; its graph is run in float64 beside the module itself. A row for each is kept in the file, and the command goes on
where it was stopped. At the end stands how many of each package there are, and which of them are not equal.
"""

from __future__ import annotations

import argparse
import csv
import gc
import importlib.metadata
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path

from benchmarks.definitions.catalogue import PACKAGES
from benchmarks.definitions.examine import DefinitionRow, examine
from fleetpose import cli
from fleetpose.errors import UsageError, first_line, unknown_name
from fleetpose.files import atomic_output
from fleetpose.progress import Report, status

log = logging.getLogger("benchmarks.definitions")

_FIELDS = [field.name for field in fields(DefinitionRow)]
STATES = ("equal", "traced", "differs", "refused", "crashed", "not made")


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.definitions", "Trace public definitions of networks, and compare with PyTorch.")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="rows, kept and added to (default: none are kept)")
    parser.add_argument("--package", nargs="+", metavar="NAME", help="of those that are known (default: all installed)")
    parser.add_argument("--network", metavar="TEXT", help="only networks whose name contains it (default: all)")
    parser.add_argument("--no-compare", action="store_true", help="trace only")
    return parser


def read_rows(path: Path | None) -> dict[tuple[str, str], DefinitionRow]:
    """The rows of a file by package and network; none where there is no file."""
    if path is None or not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [DefinitionRow(**entry) for entry in csv.DictReader(stream)]
    return {(row.package, row.network): row for row in rows}


def write_rows(path: Path, rows: Iterable[DefinitionRow]) -> None:
    with atomic_output(path, force=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _FIELDS)
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def installed(names: Iterable[str] | None) -> dict[str, str]:
    """Versions of the packages that are installed. Raises UsageError for a name that is unknown or not installed."""
    for name in names or ():
        if name not in PACKAGES:
            raise unknown_name("package", name, PACKAGES)
    versions = {}
    for name in names or PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if names:
                raise UsageError(f"{name} is not installed; pip install {name}") from None
    if not versions:
        raise UsageError(f"no package of definitions is installed; pip install one of {', '.join(PACKAGES)}")
    return versions


def summarise(rows: Mapping[tuple[str, str], DefinitionRow]) -> list[tuple[str, ...]]:
    """For each package how many networks there are, of each state, and how many of them are cut."""
    packages = dict.fromkeys((row.package, row.version) for row in rows.values())
    table = []
    for package, version in packages:
        of_package = [row for row in rows.values() if row.package == package]
        counts = (str(sum(row.state == state for row in of_package)) for state in STATES)
        cut = sum(row.cuts not in ("", "0") for row in of_package)
        table.append((f"{package} {version}", str(len(of_package)), *counts, str(cut)))
    return table


def main(arguments: argparse.Namespace) -> int:
    versions, rows = installed(arguments.package), read_rows(arguments.csv)
    with status("definitions") as progress:
        for package, version in versions.items():
            _try_package(arguments, package, version, rows, progress)
    if arguments.json:
        cli.print_json([asdict(row) for row in rows.values()])
        return 0
    cli.print_table(("package", "tried", *STATES, "cut"), summarise(rows))
    for row in rows.values():
        if row.reason:
            print(f"{row.package} {row.network}: {row.state}: {row.reason}")
    return 0


def _try_package(
    arguments: argparse.Namespace,
    package: str,
    version: str,
    rows: dict[tuple[str, str], DefinitionRow],
    progress: Report,
) -> None:
    definitions = PACKAGES[package]()
    while True:
        try:
            definition = next(definitions, None)
        except Exception as error:  # whatever ails a package when it is imported
            log.warning("%s cannot be imported: %s: %s", package, type(error).__name__, first_line(error))
            return
        if definition is None:
            return
        key = (package, definition.name)
        if key in rows or (arguments.network and arguments.network not in definition.name):
            continue
        progress(f"{package} {definition.name}")
        size = "x".join(map(str, definition.shape[1:]))
        rows[key] = DefinitionRow(package, version, definition.name, size)
        examine(rows[key], definition, not arguments.no_compare)
        if arguments.csv:
            write_rows(arguments.csv, rows.values())
        gc.collect()


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
