"""What the agent reads of files out of the kernel's own structure, beside what Python reads."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.runtime_c import compiling

SOURCES = [compiling.HERE / "print_facts.c", compiling.RUNTIME / "agent" / "core" / "file_facts.c"]


def compare_facts(run: Callable[..., subprocess.CompletedProcess[str]], folder: Path) -> None:
    """Compare a file, a folder, a link and nothing with `os.lstat`. `run` starts the program with its arguments."""
    file, link = folder / "file", folder / "link"
    file.write_bytes(bytes(12345))
    link.symlink_to(file)
    os.utime(file, ns=(1, 1_234_567_890_123_456_789))
    for path in (file, link, folder):
        facts, wanted = json.loads(run(path).stdout), os.lstat(path)
        assert facts == [
            stat.S_ISDIR(wanted.st_mode), stat.S_ISREG(wanted.st_mode), wanted.st_uid, wanted.st_size,
            wanted.st_mtime_ns,
        ]  # fmt: skip
    assert run(folder / "nothing").returncode == 1
    before = time.time() - 1
    assert json.loads(run(file, "touch").stdout)[-1] == file.stat().st_mtime_ns
    assert file.stat().st_mtime > before


def test_facts_of_files_are_those_that_python_reads(tmp_path):
    flags = [*compiling.sanitizer_flags(tmp_path), f"-I{compiling.RUNTIME}"]
    program = compiling.compile_program(tmp_path / "print_facts", SOURCES, flags)
    (tmp_path / "files").mkdir()
    compare_facts(lambda *words: compiling.run_program(program, *words), tmp_path / "files")
