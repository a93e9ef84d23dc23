"""Every command that writes something, killed at random moments and on disks that are too small."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def report_of(how: str, case: str, given: Path, folder: Path, count: int = 0, before: Sequence[str] = ()) -> dict:
    """The report of `python -m tests.writing`; `before` goes before the command."""
    words = [*before, sys.executable, "-m", "tests.writing", how, case, str(given), str(folder), str(count)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=3600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
