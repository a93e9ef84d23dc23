"""What a linked artifact is and what it will ask of the machine that loads it, read from the file alone.

A phone reports a wrong processor, page size or missing symbol only when it loads the file; all of that stands in the
ELF header, the program headers and the dynamic symbols, so every artifact is checked where it is built.
"""

from __future__ import annotations

import io
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from codegen.linking.hosts import HOSTS
from fleetpose.disk.reading import read_whole
from fleetpose.errors import FleetposeError

#: what a symbol may begin with that is left for TVM's runtime to provide (libtvm_ffi, libtvm_runtime)
RUNTIME_SYMBOLS = ("TVMFFI", "TVMBackend")
#: the bytes of an artifact's imported modules: kernels, the Relax executable, constants
DEVICE_CODE = "__tvm_ffi__library_bin"
#: libraries that cc may link in; every Linux with this machine's compiler has them. lld links none.
LINUX_LIBRARIES = ("libc.so.6", "libgcc_s.so.1", "libm.so.6")

#: libraries that the C runtime needs, by the names they have on each system; newer C libraries have the others inside
APP_LIBRARIES = {
    "android": ("libc.so", "libm.so", "libdl.so"),
    "linux": ("libc.so.6", "libm.so.6", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
}
#: what an app calls
APP_FUNCTIONS = ("fp_open_own", "fp_open", "fp_run", "fp_people", "fp_follow", "fp_close")

_MACHINES = {"EM_X86_64": "x86-64", "EM_AARCH64": "AArch64"}
_NATIVE = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "AArch64", "arm64": "AArch64"}
_PAGE = {"x86-64": 4096, "AArch64": 16384}  # of arm64: Android 15 and later may map pages of 16 KiB


class ElfError(FleetposeError):
    """A linked file is damaged, or will not load where it is meant to."""

    exit_status = 1


@dataclass(frozen=True)
class ElfReport:
    """What a shared object is and needs.

    Attributes:
        machine: processor it is for, "x86-64" or "AArch64".
        page: bytes every segment is aligned to: the largest page it can be mapped with.
        needed: libraries the loader must find.
        undefined: symbols the process that loads it must provide, sorted; weak ones may stay missing and are left out.
    """

    machine: str
    page: int
    needed: tuple[str, ...]
    undefined: tuple[str, ...]

    def __str__(self) -> str:
        libraries = ", ".join(self.needed) or "no library"
        symbols = ", ".join(self.undefined) or "no symbol"
        return f"{self.machine} shared object, {self.page // 1024} KiB pages, needs {libraries} and {symbols}"


def native_machine() -> str:
    """The processor of this machine, as `ElfReport.machine` has it."""
    return _NATIVE.get(platform.machine().lower(), platform.machine())


def check_artifact(path: Path, host: str = "native") -> ElfReport:
    """Read the shared object at `path` and check that `host` can load it.

    Args:
        host: a key of codegen.linking.hosts.HOSTS.

    Raises:
        ElfError: no shared object, damaged, for another processor, pages too small, a library or symbol that nobody
            will provide, or no device code inside. The text names all that is wrong.
    """
    report, defined = _read(path)
    wrong = _unfit(report, host, LINUX_LIBRARIES if host == "native" else ())
    if missing := [name for name in report.undefined if not name.startswith(RUNTIME_SYMBOLS)]:
        wrong.append(f"TVM's runtime does not provide {_some(missing)}")
    if DEVICE_CODE not in defined:
        wrong.append(f"it holds no device code ({DEVICE_CODE})")
    if wrong:
        raise ElfError(f"{path} cannot run on {host}: {'; '.join(wrong)}")
    return report


def check_library(path: Path, host: str = "native") -> ElfReport:
    """Read the library of an app (`codegen.building.shared_library`) and check that `host` can load it.

    Raises:
        ElfError: as `check_artifact` does, or the library lacks a function of fleetpose.h. That what it calls is there,
            the linker has seen to.
    """
    report, defined = _read(path)
    wrong = _unfit(report, host, APP_LIBRARIES["android" if host.startswith("android") else "linux"])
    if missing := [name for name in APP_FUNCTIONS if name not in defined]:
        wrong.append(f"it does not offer {_some(missing)}")
    if wrong:
        raise ElfError(f"{path} cannot run on {host}: {'; '.join(wrong)}")
    return report


def machine_of(host: str) -> str:
    """The processor of a host, as `ElfReport.machine` has it."""
    return native_machine() if host == "native" else _NATIVE[HOSTS[host].partition("-")[0]]  # type: ignore[union-attr]


def _unfit(report: ElfReport, host: str, allowed: tuple[str, ...]) -> list[str]:
    """What keeps a host from loading a shared object; it may need the libraries `allowed`."""
    machine = machine_of(host)
    page = _PAGE.get(machine, 4096)
    wrong = [f"it is for {report.machine}, not {machine}"] if report.machine != machine else []
    if report.page % page:
        wrong.append(f"its segments are aligned to {report.page} bytes, not {page}")
    if foreign := [name for name in report.needed if name not in allowed]:
        wrong.append(f"it needs {_some(foreign)}")
    return wrong


def _read(path: Path) -> tuple[ElfReport, set[str]]:
    """The report on a file, and the dynamic symbols it defines."""
    try:
        content = read_whole(path)
    except OSError as error:
        raise ElfError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _report(ELFFile(io.BytesIO(content)), len(content))
    except ElfError as error:
        raise ElfError(f"{path} {error}") from error
    except Exception as error:  # the reader's own errors and any other: it trusts offsets and sizes in the file
        raise ElfError(f"{path} is not an ELF file, or damaged ({plain(str(error))})") from error


def _report(elf: ELFFile, size: int) -> tuple[ElfReport, set[str]]:
    if elf.header["e_type"] != "ET_DYN":
        raise ElfError(f"is no shared object ({elf.header['e_type']})")
    loaded = list(elf.iter_segments("PT_LOAD"))
    dynamic = next(elf.iter_segments("PT_DYNAMIC"), None)
    if not loaded or not isinstance(dynamic, DynamicSegment):
        raise ElfError("is no shared object (nothing to load)")
    if (end := max(segment["p_offset"] + segment["p_filesz"] for segment in loaded)) > size:
        raise ElfError(f"is cut short: {size} of at least {end} bytes")
    symbols = list(dynamic.iter_symbols())
    undefined = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF" and _strong(symbol)}
    libraries = [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]  # set at run time
    report = ElfReport(
        _MACHINES.get(elf.header["e_machine"], str(elf.header["e_machine"])),
        min(segment["p_align"] for segment in loaded),
        tuple(libraries),
        tuple(sorted(undefined)),
    )
    return report, {symbol.name for symbol in symbols if symbol["st_shndx"] != "SHN_UNDEF"}


def _strong(symbol: Any) -> bool:
    return bool(symbol.name) and symbol["st_info"]["bind"] != "STB_WEAK"


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(map(plain, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def plain(text: str, most: int = 80) -> str:
    """Text out of a file, or about it, on one short line: in a damaged one a name may be any bytes."""
    return ascii(text)[1:-1][:most]
