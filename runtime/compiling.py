"""The C of this folder for a processor and a system, by ziglang alone.

For Linux zig brings the C library's interface. For Android it does not: there code is compiled without a C library,
which it calls by prototypes of its own (headers called libc.h), and is linked against stand-ins of bionic's three
libraries that are made on the spot and have nothing but names. So the linker tells every name that no library has, and
the names of the libraries are those that Android's loader looks for.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from fleetpose.disk.caches import cache_folder
from fleetpose.disk.refusals import full_disk_in, write_error
from fleetpose.errors import FleetposeError

#: of the C library that Linux has at least: Debian 10's and Ubuntu 18.10's
GLIBC = "2.28"
#: Android 15 and later map pages of 16 KiB
PAGE = "max-page-size=16384"
FLAGS = ("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-DNDEBUG",
         "-fno-sanitize=all", "-fno-stack-protector", "-fno-math-errno", "-ffp-contract=off", "-g0")  # fmt: skip
#: the processors of what is not built for this machine
MACHINES = {"linux-x64": "x86_64", "linux-arm64": "aarch64", "android-arm64": "aarch64"}
#: functions of Android's libm and libdl that may be called; all else is in libc
_MATHS = re.compile(r"\b(?:double|float|long) (\w+)\((?:double|float)[^;]*\);")
_LOADING = ("dlopen", "dlsym", "dlerror", "dlclose")
_PROTOTYPE = re.compile(r"^[a-z][\w \*]*?(\w+)\([^;]*\);", re.MULTILINE)


class LinkError(FleetposeError):
    """The compiler or the linker is missing or refused."""

    exit_status = 1


def is_android(host: str) -> bool:
    return host.startswith("android")


def target_flags(host: str) -> tuple[str, str]:
    """What zig is told of a host: "native" or a key of MACHINES. It knows no C library for Android, so there code is
    compiled without one."""
    machine = MACHINES[host] if host in MACHINES else platform.machine()
    return "-target", f"{machine}-linux-none" if is_android(host) else f"{machine}-linux-gnu.{GLIBC}"


def compile_objects(sources: Sequence[Path], folder: Path, host: str, flags: Sequence[str]) -> list[Path]:
    """The objects of C and assembly files, written into a folder.

    Raises:
        LinkError: zig is not installed, or refuses. UsageError: the disk is full.
    """
    freestanding = ("-ffreestanding",) if is_android(host) else ()
    objects = [folder / f"{number}-{source.stem}.o" for number, source in enumerate(sources)]
    for source, compiled in zip(sources, objects, strict=True):
        arguments = ("cc", *target_flags(host), *FLAGS, *freestanding, *flags, "-c", str(source), "-o", str(compiled))
        run_zig(folder, compiled, arguments)
    return objects


def make_stand_ins(folder: Path, headers: Iterable[Path], more: Iterable[str] = ()) -> list[Path]:
    """Libraries of bionic's names that have an empty function for each prototype of `headers`.

    Args:
        more: names of functions besides.
    """
    text = "\n".join(header.read_text(encoding="utf-8") for header in headers)
    maths = set(_MATHS.findall(text))
    names = set(_PROTOTYPE.findall(text)) | {"memmove", *more}  # compilers write calls of memmove, too
    parts = {"libc": names - maths - {*_LOADING}, "libm": maths, "libdl": names & {*_LOADING}}
    paths = []
    for library, functions in parts.items():
        source, compiled, path = (folder / f"{library}{suffix}" for suffix in (".c", ".o", ".so"))
        source.write_text("".join(f"void {name}(void) {{}}\n" for name in sorted(functions)), encoding="utf-8")
        flags = ("-ffreestanding", "-fno-builtin", "-fPIC", "-w", "-c", str(source), "-o", str(compiled))
        run_zig(folder, compiled, ("cc", *target_flags("android-arm64"), *flags))
        run_zig(folder, path, ("ld.lld", "-shared", "-m", "aarch64linux", "-soname", path.name, "-o", str(path),
                               str(compiled)))  # fmt: skip
        paths.append(path)
    return paths


def run_zig(folder: Path, out: Path, arguments: Sequence[str]) -> None:
    """Run zig in a folder; it writes `out`. Raises LinkError with what it said, and UsageError for a full disk."""
    command = [sys.executable, "-m", "ziglang", *arguments]
    cache = str(cache_folder() or folder)  # what zig makes of C libraries' interfaces takes it some seconds
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": f"{cache}/zig", "ZIG_LOCAL_CACHE_DIR": str(folder)},
    )  # fmt: skip
    check_ended(done, str(out), "compiling the C runtime")


def check_ended(done: subprocess.CompletedProcess[str], output: str, doing: str) -> None:
    """Look at how a linker or compiler ended.

    Raises:
        LinkError: with what it printed, or the signal that ended it.
        UsageError: the disk is full, which one that writes through mapped memory is told by SIGBUS.
    """
    if done.returncode == 0:
        return
    full = full_disk_in(done.stderr)
    if done.returncode == -signal.SIGBUS:
        full = full or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if full:
        raise write_error(output, full)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise LinkError(f"{doing} was ended by {name}; is there space in {Path(output).parent}, and memory?")
    missing = "No module named ziglang" in done.stderr
    mend = "pip install ziglang" if missing else f"the command was: {' '.join(done.args)}"
    raise LinkError(f"{doing} failed: {done.stderr.strip()[-2000:]}\n{mend}")
