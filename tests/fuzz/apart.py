"""The fuzzer for tests: in a process of its own, which no native threads of other tests are in the way of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any


def run_apart(names: Iterable[str], *flags: str) -> dict[str, dict[str, Any]]:
    """What `python -m tests.fuzz --json` counts of these readers, by name."""
    command = [sys.executable, "-m", "tests.fuzz", *names, "--json", *flags]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)


def check_damaged(tally: dict[str, Any], count: int) -> None:
    """Assert that a reader answered or refused all of `count` damaged files, and refused some."""
    assert (tally["tried"], tally["held"]) == (count, count), tally["faults"]
    assert tally["refused"] > count / 5, "the files are hardly damaged"


def check_whole(names: Iterable[str]) -> None:
    """Assert that the samples are read as they are."""
    for name, tally in run_apart(names, "--whole", "--count", "2").items():
        assert tally["read"] == 2, name
