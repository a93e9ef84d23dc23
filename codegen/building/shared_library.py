"""The library of an app: the C runtime with a package inside, for a processor and a system, by ziglang alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codegen.linking.elf import ElfReport, check_library
from codegen.linking.hosts import HOSTS
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import unknown_name
from fleetpose.progress import Report, no_report
from runtime import INCLUDE, SOURCES
from runtime.compiling import PAGE, compile_objects, is_android, make_stand_ins, run_zig, target_flags


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
    return compile_objects(sources, folder, host, ("-I", str(INCLUDE), "-I", str(SOURCES)))


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
    if is_android(host):
        libraries = [str(path) for path in make_stand_ins(folder, SOURCES.rglob("libc.h"))]
        linker = ("ld.lld", "-shared", "-m", "aarch64linux", "-z", "defs", *named)
        run_zig(folder, out, (*linker, "-o", str(out), *map(str, objects), *libraries))
        return
    passed = [part for word in named for part in ("-Xlinker", word)]  # -Wl would cut a name at its commas
    driver = ("cc", *target_flags(host), "-shared", *passed, "-o", str(out))
    run_zig(folder, out, (*driver, *map(str, objects), "-lm", "-ldl"))
