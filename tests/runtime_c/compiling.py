"""Compiles the runtime and the C programs of this folder, with address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

HERE = Path(__file__).parent
RUNTIME = HERE.parents[1] / "runtime"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
#: leaks of what OpenCL's drivers keep until the process ends are not ours
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


def find_compiler() -> str:
    """A C compiler's path; skips the test where there is none."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    return compiler


def sources(*folders: str) -> list[Path]:
    """The runtime's C files in these folders of its sources and below; "." are those on top alone."""
    patterns = {folder: "*.c" if folder == "." else "**/*.c" for folder in folders}
    return sorted(file for folder in folders for file in (RUNTIME / "src" / folder).glob(patterns[folder]))


def compile_program(program: Path, files: list[Path], flags: list[str]) -> Path:
    """Compile and link `files` into `program`, which it answers. Warnings are errors."""
    include = [f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}", f"-I{HERE}"]
    command = [
        find_compiler(),
        *WARNINGS,
        *flags,
        *include,
        *map(str, files),
        "-o",
        str(program),
        "-ldl",
        "-lpthread",
        "-lm",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return program


def sanitizer_flags(folder: Path, flags: list[str] = SANITIZERS) -> list[str]:
    """`flags`, or none where programs built with them do not run: a compiler may come without their libraries."""
    source, program = folder / "probe.c", folder / "probe"
    source.write_text("int main(void) { return 0; }\n", encoding="utf-8")
    built = subprocess.run([find_compiler(), *flags, str(source), "-o", str(program)], capture_output=True)
    works = built.returncode == 0 and subprocess.run([str(program)], capture_output=True).returncode == 0
    return flags if works else []


def run_program(program: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **ENVIRONMENT, **environment}
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, env=settings)


def dynamic_symbols(library: Path) -> set[str]:
    """The names that a shared object defines for others."""
    with library.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".dynsym")
        return {s.name for s in table.iter_symbols() if s.name and s["st_shndx"] != "SHN_UNDEF"}
