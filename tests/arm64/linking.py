"""An executable for Android's arm64, linked by ziglang alone, as `codegen.building.shared_library` links libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from codegen.building.shared_library import PAGE
from runtime import INCLUDE, SOURCES

#: what executables call of Android's libc; the last two start it, bionic having the one and glibc the other
FUNCTIONS = ("open", "read", "write", "close", "malloc", "free", "snprintf", "strlen", "strcmp", "memcpy", "memset",
             "exit", "__libc_init", "__libc_start_main")  # fmt: skip
TARGET = ("-target", "aarch64-linux-none", "-ffreestanding", "-fno-stack-protector", "-w")


def link_executable(source: Path, library: Path, out: Path) -> Path:
    """Compile one C file and link it with an app's library and a stand-in of Android's libc. Answers `out`."""
    folder = out.parent
    (folder / "libc.c").write_text("".join(f"void {name}(void) {{}}\n" for name in FUNCTIONS), encoding="utf-8")
    headers = ("-I", INCLUDE, "-I", SOURCES)
    _zig("cc", *TARGET, "-fno-builtin", "-fPIC", "-c", folder / "libc.c", "-o", folder / "libc.o")
    _zig("ld.lld", "-shared", "-m", "aarch64linux", "-soname", "libc.so", folder / "libc.o", "-o", folder / "libc.so")
    _zig("cc", *TARGET, "-std=c11", "-O2", "-fPIE", *headers, "-c", source, "-o", out.with_suffix(".o"))
    flags = ("-pie", "-m", "aarch64linux", "-dynamic-linker", "/system/bin/linker64", "-z", "defs", "-z", PAGE)
    _zig("ld.lld", *flags, out.with_suffix(".o"), library, folder / "libc.so", "-o", out)
    return out


def _zig(*arguments: object) -> None:
    command = [sys.executable, "-m", "ziglang", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
