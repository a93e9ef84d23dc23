"""The library of an app: the C runtime with a package inside, for a processor and a system, by ziglang alone.

For Linux zig brings the C library's interface. For Android it does not: there the runtime is compiled without a C
library, which it calls by prototypes of its own (runtime/src/core/libc.h), and is linked against stand-ins of bionic's
three libraries that are made on the spot and have nothing but names. So the linker tells every name that no library
has, and the names of the libraries are those that Android's loader looks for.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from codegen.linking.elf import ElfReport, check_library
from codegen.linking.hosts import HOSTS
from codegen.linking.link import LinkError
from fleetpose.disk.caches import cache_folder
from fleetpose.disk.refusals import full_disk_in, write_error
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import unknown_name
from fleetpose.progress import Report, no_report
from runtime import INCLUDE, SOURCES

#: of the C library that Linux has at least: Debian 10's and Ubuntu 18.10's
GLIBC = "2.28"
#: Android 15 and later map pages of 16 KiB
PAGE = "max-page-size=16384"
FLAGS = ("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-DNDEBUG",
         "-fno-sanitize=all", "-fno-stack-protector", "-fno-math-errno", "-ffp-contract=off", "-g0")  # fmt: skip
#: functions of Android's libm and libdl that the runtime may call; all else it calls is in libc
_MATHS = re.compile(r"\b(?:double|float|long) (\w+)\((?:double|float)[^;]*\);")
_LOADING = ("dlopen", "dlsym", "dlerror", "dlclose")
_PROTOTYPE = re.compile(r"^[a-z][\w \*]*?(\w+)\([^;]*\);", re.MULTILINE)


def make_library(package: bytes, out: Path, name: str, host: str = "native", report: Report = no_report) -> ElfReport:
    """Write the runtime with a package inside as one shared object.

    Args:
        package: an .fpk's bytes.
        out: path to write. name: what the library calls itself.
        host: a key of codegen.linking.hosts.HOSTS.
        report: told what is being done.

    Raises:
        UsageError: an unknown host, or a full disk. LinkError: zig is not installed, or refuses.
        ElfError: what was linked cannot run there.
    """
    if host not in HOSTS:
        raise unknown_name("host", host, HOSTS)
    with WorkFolder() as folder:
        report("compiling the runtime")
        objects = _compile(folder, host, package)
        report("linking")
        _link(folder, objects, out.absolute(), name, host)  # zig has a folder of its own
    return check_library(out, host)


def _compile(folder: Path, host: str, package: bytes) -> list[Path]:
    """The objects of the runtime, and of the package."""
    (folder / "package.fpk").write_bytes(package)
    (folder / "package.S").write_text(_assembly("package.fpk"), encoding="utf-8")
    sources = [*sorted(SOURCES.rglob("*.c")), folder / "package.S"]
    objects = [folder / f"{number}-{source.stem}.o" for number, source in enumerate(sources)]
    freestanding = ("-ffreestanding",) if _is_android(host) else ()
    for source, compiled in zip(sources, objects, strict=True):
        flags = (*FLAGS, *freestanding, "-I", str(INCLUDE), "-I", str(SOURCES))
        _zig(folder, out=compiled, arguments=("cc", *_target(host), *flags, "-c", str(source), "-o", str(compiled)))
    return objects


def _assembly(name: str) -> str:
    """A package as read-only data under the symbols that the runtime looks for."""
    return f"""    .section .rodata.fp_own_package,"a",%progbits
    .globl fp_own_package
    .hidden fp_own_package
    .balign 16384
fp_own_package:
    .incbin "{name}"
fp_own_package_end:
    .globl fp_own_package_bytes
    .hidden fp_own_package_bytes
    .balign 8
fp_own_package_bytes:
    .quad fp_own_package_end - fp_own_package
    .section .note.GNU-stack,"",%progbits
"""


def _link(folder: Path, objects: Sequence[Path], out: Path, name: str, host: str) -> None:
    named = ("-soname", name, "-z", PAGE, "--gc-sections", "--strip-all", "--build-id=sha1")
    if _is_android(host):
        libraries = [str(path) for path in _stand_ins(folder)]
        linker = ("ld.lld", "-shared", "-m", "aarch64linux", "-z", "defs", *named)
        _zig(folder, out, (*linker, "-o", str(out), *map(str, objects), *libraries))
        return
    passed = [part for word in named for part in ("-Xlinker", word)]  # -Wl would cut a name at its commas
    driver = ("cc", *_target(host), "-shared", *passed, "-o", str(out))
    _zig(folder, out, (*driver, *map(str, objects), "-lm", "-ldl"))


def _stand_ins(folder: Path) -> list[Path]:
    """Libraries of bionic's names that have an empty function for each prototype of runtime/src."""
    text = "\n".join(header.read_text(encoding="utf-8") for header in SOURCES.rglob("libc.h"))
    maths = set(_MATHS.findall(text))
    names = set(_PROTOTYPE.findall(text)) | {"memmove"}  # compilers write calls of memmove, too
    parts = {"libc": names - maths - {*_LOADING}, "libm": maths, "libdl": names & {*_LOADING}}
    paths = []
    for library, functions in parts.items():
        source, compiled, path = (folder / f"{library}{suffix}" for suffix in (".c", ".o", ".so"))
        source.write_text("".join(f"void {name}(void) {{}}\n" for name in sorted(functions)), encoding="utf-8")
        flags = ("-ffreestanding", "-fno-builtin", "-fPIC", "-w", "-c", str(source), "-o", str(compiled))
        _zig(folder, compiled, ("cc", *_target("android-arm64"), *flags))
        _zig(folder, path, ("ld.lld", "-shared", "-m", "aarch64linux", "-soname", path.name, "-o", str(path),
                            str(compiled)))  # fmt: skip
        paths.append(path)
    return paths


def _is_android(host: str) -> bool:
    return host.startswith("android")


def _target(host: str) -> tuple[str, str]:
    """What zig is told of a host. It knows no C library for Android, so there the runtime is compiled without one."""
    triple = HOSTS[host]
    machine = triple.partition("-")[0] if triple else platform.machine()
    return "-target", f"{machine}-linux-none" if _is_android(host) else f"{machine}-linux-gnu.{GLIBC}"


def _zig(folder: Path, out: Path, arguments: Sequence[str]) -> None:
    """Run zig in a folder. Raises LinkError with what it said, and UsageError for a full disk."""
    command = [sys.executable, "-m", "ziglang", *arguments]
    cache = str(cache_folder() or folder)  # what zig makes of C libraries' interfaces takes it some seconds
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": f"{cache}/zig", "ZIG_LOCAL_CACHE_DIR": str(folder)},
    )  # fmt: skip
    if done.returncode == 0:
        return
    if full := full_disk_in(done.stderr):
        raise write_error(str(out), full)
    if done.returncode < 0:
        raise LinkError(f"zig was ended by {signal.Signals(-done.returncode).name}; is there space, and memory?")
    mend = (
        "pip install ziglang" if "No module named ziglang" in done.stderr else f"the command was: {' '.join(command)}"
    )
    raise LinkError(f"compiling the runtime failed: {done.stderr.strip()[-2000:]}\n{mend}")
