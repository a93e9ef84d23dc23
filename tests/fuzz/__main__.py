"""Mutate files of every reader: `python -m tests.fuzz [--count N] [--seed N] [READER ...]`."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from tests.fuzz.data_readers import DATA_READERS
from tests.fuzz.readers import READERS
from tests.fuzz.running import FAULTS, Tally, fuzz
from tests.fuzz.torch_readers import TORCH_READERS

#: files after which what was counted is kept
PART = 250


def main() -> int:
    known = {**READERS, **DATA_READERS, **TORCH_READERS}
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--count", type=int, default=10_000, help="files for each reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first file")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    header = ("reader", "tried", "held", *FAULTS, "read", "refused", "secs")
    print("  ".join(f"{cell:>10}" for cell in header), flush=True)
    faults = 0
    for name in arguments.readers or known:
        began, tally, end = time.monotonic(), Tally(), arguments.start + arguments.count
        try:
            for start in range(arguments.start, end, PART):
                tally.add(fuzz(known[name], min(PART, end - start), arguments.seed, start))
        except KeyboardInterrupt:  # what was counted is shown
            end = 0
        counts = [len(tally.faults[kind]) for kind in FAULTS]
        faults += sum(counts)
        row = (name, tally.tried, tally.held, *counts, tally.outcomes["read"], tally.outcomes["refused"])
        print("  ".join(f"{cell!s:>10}" for cell in (*row, f"{time.monotonic() - began:.0f}")), flush=True)
        for kind in FAULTS:
            for said in tally.faults[kind][:20]:
                print(f"    {kind}: {said}", flush=True)
        if end == 0:
            break
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
