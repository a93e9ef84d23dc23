"""Make the report of an optimization again: `python -m latency.report DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fleetpose import cli
from latency.report.result import read_result
from latency.report.write import MARKDOWN, write_report


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.report", "Write report.html and report.md from the result.json of latency.optimize.")
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="what latency.optimize wrote; reports in it are replaced"
    )
    return parser


def main(arguments: argparse.Namespace) -> int:
    written = write_report(read_result(arguments.folder), arguments.folder)
    if arguments.json:
        cli.print_json({"html": str(written), "markdown": str(written.with_name(MARKDOWN))})
    else:
        print(written)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
