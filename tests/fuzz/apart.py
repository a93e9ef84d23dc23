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
    """Assert that a reader takes whole files, answered or refused all of `count` damaged ones, and refused some."""
    assert tally["whole_read"], "it does not read its samples as they are"
    assert (tally["tried"], tally["held"]) == (count, count), tally["faults"]
    assert tally["refused"] > count / 5, "the files are hardly damaged"
