"""Object files to a shared object, for this machine or another, with or without a compiler installed.

TVM emits finished object files (the packed device code included), so a linker is all it takes. The default is lld from
the `ziglang` package: the same bytes everywhere, and the only one at hand for phones without an NDK.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm

from codegen.linking.hosts import HOSTS
from codegen.linking.stamp import ROOM
from fleetpose.disk.memory_files import MemoryFiles
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import UsageError, unknown_name
from runtime.compiling import LinkError, check_ended

__all__ = ["LINKERS", "LinkError", "export_shared", "link_command", "link_shared", "opencl_source"]

LINKERS = ("lld", "cc")

_MACHINES = {"x86_64": "elf_x86_64", "amd64": "elf_x86_64", "aarch64": "aarch64linux", "arm64": "aarch64linux"}
#: Android 15 and later map pages of 16 KiB
_ARM_PAGE = ["-z", "max-page-size=16384"]
#: what TVM writes to be linked: the host's code, and the device's with the constants
OBJECTS = ("lib0.o", "devc.o")


def link_command(objects: Sequence[str], output: str, host: str = "native", linker: str = "lld") -> list[str]:
    """The command that links `objects` into the shared object `output`.

    Args:
        host: a key of codegen.linking.hosts.HOSTS.
        linker: "lld" (any host) or "cc" (this machine only).

    Raises:
        UsageError: an unknown linker, or "cc" for another host.
        LinkError: the linker is not installed.
    """
    if linker not in LINKERS:
        raise unknown_name("linker", linker, LINKERS)
    if linker == "cc":
        if host != "native":
            raise UsageError(f"--linker cc links for this machine only; use --linker lld for {host}")
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise LinkError("no C compiler found (cc, gcc, clang); use --linker lld, which needs none")
        return [compiler, "-shared", f"-Wl,{ROOM}", "-o", output, *objects]
    triple = HOSTS[host]
    machine = platform.machine().lower() if triple is None else triple.partition("-")[0]
    if machine not in _MACHINES:
        raise LinkError(f"lld is not set up for this machine ({machine}); use --linker cc")
    page = _ARM_PAGE if _MACHINES[machine] == "aarch64linux" else []
    return [
        sys.executable,
        "-m",
        "ziglang",
        "ld.lld",
        "-shared",
        "-m",
        _MACHINES[machine],
        *page,
        ROOM,
        "-o",
        output,
        *objects,
    ]


def link_shared(objects: Sequence[str], output: str, host: str = "native", linker: str = "lld") -> None:
    """Link object files into a shared object.

    Raises:
        LinkError: with what the linker printed. UsageError: the disk is full.
    """
    command = link_command(objects, output, host, linker)
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    check_ended(done, output, "linking")


def export_shared(
    executable: tvm.runtime.Executable | tvm.runtime.Module, path: Path, host: str = "native", linker: str = "lld"
) -> None:
    """Write a compiled module, device code and constants included, as one shared object.

    Raises:
        LinkError: as `link_shared` does. UsageError: the disk is full.
    """
    with WorkFolder() as workspace, MemoryFiles(workspace, OBJECTS) as written:

        def link(output: str, objects: Sequence[str], **_: Any) -> None:
            written.store()
            link_shared(objects, output, host, linker)

        executable.export_library(str(path), workspace_dir=str(workspace), fcompile=link)


def opencl_source(module: Any) -> str:
    """The OpenCL C of a compiled module and all it imports."""
    own = [module.inspect_source()] if module.kind == "opencl" else []
    return "\n".join(own + [source for imported in module.imports if (source := opencl_source(imported))])
