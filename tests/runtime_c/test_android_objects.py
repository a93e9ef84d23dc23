"""The runtime compiled for Android without an NDK: what it asks of libc, and how large it is."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.runtime_c import compiling

FLAGS = ["-target", "aarch64-linux-none", "-ffreestanding", "-fPIC", "-O2", "-std=c11"]
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """The whole runtime as one stripped shared object, with the symbols of libc left open."""
    spec = importlib.util.find_spec("ziglang")
    assert spec is not None
    assert spec.submodule_search_locations
    zig = str(Path(spec.submodule_search_locations[0]) / "zig")
    folder = tmp_path_factory.mktemp("android")
    caches = {f"ZIG_{scope}_CACHE_DIR": str(folder / "cache") for scope in ("GLOBAL", "LOCAL")}
    include = [f"-I{compiling.RUNTIME / 'include'}", f"-I{compiling.RUNTIME / 'src'}"]
    objects = []
    for number, source in enumerate(compiling.sources(".", "core", "opencl", "pose")):
        objects.append(str(folder / f"{number}.o"))
        run([zig, "cc", *FLAGS, *compiling.WARNINGS, *include, "-c", str(source), "-o", objects[-1]], caches)
    output = folder / "libfleetpose.so"
    link = ["-shared", "--gc-sections", "-s", "-z", "max-page-size=16384", "-o", str(output)]
    run([zig, "ld.lld", *link, *objects], caches)
    return output


def run(command: list[str], caches: dict[str, str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **caches})
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_declared_functions_are_asked_for(library):
    """Functions that take numbers and pointers; what is weak is the package inside a library."""
    declared = set()
    for header in sorted((compiling.RUNTIME / "src").rglob("libc.h")):
        declared |= set(re.findall(r"^[a-z][\w *]*[ *](\w+)\(.*\);$", header.read_text(encoding="utf-8"), re.MULTILINE))
    with library.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
        open_symbols = {s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF" and s.name}
    assert "dlopen" in open_symbols
    assert open_symbols <= declared | {"memmove"}, open_symbols - declared


def test_runtime_is_small(library):
    assert library.stat().st_size < MOST_BYTES
