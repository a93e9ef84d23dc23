"""Mutate files of every reader: `python -m tests.fuzz [--count N] [--seed N] [READER ...]`.

It is a process of its own, also for tests: readers run in forks, which native threads of other tests would not survive.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Collection
from typing import Any

from tests.fuzz.data_readers import DATA_READERS
from tests.fuzz.measurement_readers import MEASUREMENT_READERS
from tests.fuzz.readers import READERS
from tests.fuzz.running import FAULTS, Reader, Tally, fuzz

#: files after which what was counted is kept
PART = 250


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help="(default: all)")
    parser.add_argument("--count", type=int, default=10_000, help="files for each reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first file")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, no table")
    return parser


def known_readers(names: Collection[str]) -> dict[str, Reader]:
    """All readers; those that take torch only where they are asked for. SystemExit for names that are none."""
    known = {**READERS, **DATA_READERS, **MEASUREMENT_READERS}
    if not names or not set(names) <= set(known):
        from tests.fuzz.torch_readers import TORCH_READERS

        known = {**known, **TORCH_READERS}
    for name in set(names) - set(known):
        sys.exit(f"{name!r} is no reader; there are {', '.join(known)}")
    return known


def attack(reader: Reader, arguments: argparse.Namespace) -> tuple[Tally, bool]:
    """What a reader does with the files that are asked for, and whether it was let finish."""
    tally, end = Tally(), arguments.start + arguments.count
    try:
        for start in range(arguments.start, end, PART):
            tally.add(fuzz(reader, min(PART, end - start), arguments.seed, start))
    except KeyboardInterrupt:  # what was counted is shown
        return tally, False
    return tally, True


def whole_read(reader: Reader) -> bool:
    """Whether a reader takes its first two samples as they are."""
    unchanged = Reader(reader.suffix, reader.samples, lambda content, _rng: content, reader.read)
    return fuzz(unchanged, 2).outcomes["read"] == 2


def show(name: str, tally: Tally, secs: float) -> None:
    """A row of the table, and the first faults of each kind below it."""
    counts = [len(tally.faults[kind]) for kind in FAULTS]
    row = (name, tally.tried, tally.held, *counts, tally.outcomes["read"], tally.outcomes["refused"])
    print("  ".join(f"{cell!s:>10}" for cell in (*row, f"{secs:.0f}")), flush=True)
    for kind in FAULTS:
        for said in tally.faults[kind][:20]:
            print(f"    {kind}: {said}", flush=True)


def as_json(tally: Tally, reader: Reader) -> dict[str, Any]:
    counts = {"tried": tally.tried, "held": tally.held, "faults": tally.faults, **tally.outcomes}
    return {**counts, "whole_read": whole_read(reader)}


def main() -> int:
    arguments = make_parser().parse_args()
    known = known_readers(arguments.readers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not arguments.json:
        header = ("reader", "tried", "held", *FAULTS, "read", "refused", "secs")
        print("  ".join(f"{cell:>10}" for cell in header), flush=True)
    tallies: dict[str, Tally] = {}
    for name in arguments.readers or known:
        began = time.monotonic()
        tallies[name], finished = attack(known[name], arguments)
        if not arguments.json:
            show(name, tallies[name], time.monotonic() - began)
        if not finished:
            break
    if arguments.json:
        print(json.dumps({name: as_json(tally, known[name]) for name, tally in tallies.items()}))
    return 1 if any(tally.held < tally.tried for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
