"""Damaged files against a reader in a process of its own, so that a crash, or a file that never ends, is seen.

    python -m tests.fuzzing tests.fuzz_targets:Coco 10000

A target is a class that is made with an empty folder and has two methods: `write(seed)` makes a damaged file and
answers its path, `read(path)` reads it. A file is held where it is read, or refused as errors are: by a
FleetposeError of one short line.
"""

from __future__ import annotations

import importlib
import os
import resource
import select
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetpose.errors import FleetposeError

#: seconds that reading one file may take before it counts as a hang
LIMIT_SECS = 20.0
#: letters of an error besides the file's path
LONGEST_ERROR = 500
#: bytes of memory that a reader may have
_MEMORY = 8 << 30
READ, REFUSED, LONG, TRACEBACK, CRASH, HANG = "read", "refused", "long error", "traceback", "crash", "hang"


@dataclass
class Attack:
    """What became of damaged files: how often each outcome, and of those that were not held the seed and the words."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, seed: int, outcome: str, words: str = "") -> None:
        self.counts[outcome] += 1
        if outcome not in (READ, REFUSED):
            self.faults.append(f"seed {seed}: {outcome}: {words}")

    @property
    def summary(self) -> str:
        """Tried, held and not, in one line."""
        held = self.counts[READ] + self.counts[REFUSED]
        rest = ", ".join(f"{self.counts[name]} {name}" for name in (LONG, TRACEBACK, CRASH, HANG))
        return f"{self.counts.total()} tried, {held} held ({self.counts[READ]} read), {rest}"


def attack(target: str, count: int, first: int = 0) -> Attack:
    """Read files of the seeds from `first` on.

    Args:
        target: "module:class", see the module.
    """
    result, seed = Attack(), first
    with tempfile.TemporaryDirectory() as folder:
        while seed < first + count:
            seed = _attack_until_death(target, Path(folder), seed, first + count, result)
    return result


def _attack_until_death(target: str, folder: Path, seed: int, end: int, result: Attack) -> int:
    """Read files in one process until all are done, or it has died or was stopped; the seed to go on with."""
    command = [sys.executable, "-m", "tests.fuzzing", "--child", target, str(folder), str(seed), str(end)]
    quiet = {**os.environ, "OPENCV_LOG_LEVEL": "SILENT"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=quiet) as child:
        assert child.stdout is not None
        limit = 6 * LIMIT_SECS  # for the imports
        while seed < end:
            ready = select.select([child.stdout], [], [], limit)[0]
            line = child.stdout.readline().decode() if ready else ""
            limit = LIMIT_SECS
            if not ready:
                child.kill()
                result.add(seed, HANG)
                return seed + 1
            if not line.endswith("\n"):
                result.add(seed, CRASH, f"status {child.wait()}")
                return seed + 1
            outcome, _, words = line.rstrip("\n").partition("\t")
            result.add(seed, outcome, words)
            seed += 1
    return seed


def _child(name: str, folder: Path, seed: int, end: int) -> None:
    """Read the files, a line of output for each; only these go to stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    told = open(os.dup(1), "w", buffering=1)  # noqa: SIM115  to the end of the process
    os.dup2(2, 1)
    module, _, attribute = name.partition(":")
    target = getattr(importlib.import_module(module), attribute)(folder)
    for number in range(seed, end):
        told.write(_outcome(target, number) + "\n")


def _outcome(target: Any, seed: int) -> str:
    path = target.write(seed)
    try:
        target.read(path)
    except FleetposeError as error:
        text = str(error).replace(str(path), "").replace(str(path.parent), "")
        short = len(text) <= LONGEST_ERROR and len(text.splitlines()) == 1
        return REFUSED if short else f"{LONG}\t{text[:200]!r} ({len(text)} letters)"
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{TRACEBACK}\t{type(error).__name__}: {str(error)[:200]!r} in {frame.filename}:{frame.lineno}"
    return READ


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        _child(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        told = attack(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
        print(told.summary, *told.faults[:40], sep="\n")
