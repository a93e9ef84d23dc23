"""What the agent reads of files on arm64, where the kernel's structure is another."""

import subprocess
import sys

import pytest

from tests.runtime_c import compiling
from tests.runtime_c.test_file_facts import SOURCES, compare_facts


@pytest.mark.long
def test_facts_of_files_are_those_that_python_reads(tmp_path, emulated):
    program, files = tmp_path / "print_facts", tmp_path / "files"
    include = [f"-I{compiling.RUNTIME}", f"-I{compiling.RUNTIME / 'src'}", f"-I{compiling.RUNTIME / 'include'}"]
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static", "-std=c11", *include]
    done = subprocess.run([*zig, *map(str, SOURCES), "-o", str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files.mkdir()
    compare_facts(lambda *words: emulated.run(program, *words, libraries=tmp_path, cache=tmp_path / "cache"), files)
