"""An arm64 machine with OpenCL on this one: Debian's emulator, C library and PoCL, unpacked and not installed.

Programs find what Android's loader finds: /system/bin/linker64, which is glibc's loader here, and libc.so, libm.so and
libdl.so, which are links to glibc's. So the very files that a phone gets are run.

    python -m tests.arm64.machine [FOLDER]

fetches it (190 MB; 450 MB unpacked) into the folder, or that of FLEETPOSE_ARM64, or a cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import ziglang

from codegen.inspection.packages import check_machine, fetch_tree
from fleetpose.disk.caches import cache_folder
from fleetpose.errors import UsageError
from fleetpose.files import make_folder, read_json, write_json
from fleetpose.progress import Report, no_report

PACKAGES = {
    "arm64": ("pocl-opencl-icd", "ocl-icd-libopencl1", "libc6", "libgcc-s1", "libstdc++6"),
    "amd64": ("qemu-user",),
}
DESCRIPTION, FORMAT = "arm64.json", "fleetpose.tests.arm64/1"
EMULATOR = "qemu-aarch64"
LIBRARIES = "usr/lib/aarch64-linux-gnu"
#: what Android's C library is called, and glibc's
NAMES = {"libc.so": "libc.so.6", "libm.so": "libm.so.6", "libdl.so": "libdl.so.2"}


@dataclass(frozen=True)
class EmulatedMachine:
    """A folder with the two trees of packages, and what is made of them."""

    folder: Path

    def run(
        self, program: Path, *arguments: object, libraries: Path, cache: Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run an executable for Android's arm64; the arguments are those of `command`."""
        command = self.command(program, libraries=libraries, cache=cache, **environment)
        return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)

    def command(self, program: Path, *, libraries: Path, cache: Path, **environment: str) -> list[str]:
        """The command line that runs an executable for Android's arm64.

        Args:
            libraries: folder of the shared objects that it needs besides Android's. cache: PoCL's, for its kernels.
            environment: more that the program sees.
        """
        paths = (self.folder / "root/system/lib64", libraries, self.folder / "arm64" / LIBRARIES)
        settings = {
            "LD_LIBRARY_PATH": ":".join(map(str, paths)),
            "OCL_ICD_VENDORS": str(self.folder / "vendors"),
            "COMPILER_PATH": str(self.folder / "tools"),
            "POCL_CACHE_DIR": str(make_folder(cache)),
            "FLEETPOSE_LIBOPENCL": "",
            **environment,
        }
        given = [part for name, value in settings.items() for part in ("-E", f"{name}={value}")]
        return [str(self.folder / "amd64/usr/bin" / EMULATOR), "-L", str(self.folder / "root"), *given, str(program)]


def default_folder() -> Path:
    """FLEETPOSE_ARM64, or below this user's caches. Raises UsageError where neither is."""
    if given := os.environ.get("FLEETPOSE_ARM64"):
        return Path(given).absolute()
    if (folder := cache_folder()) is None:
        raise UsageError("there is no folder for caches; set FLEETPOSE_ARM64 to one")
    return folder / "arm64"


def set_up(folder: Path, report: Report = no_report) -> EmulatedMachine:
    """Fetch the packages into a folder, unless they are there.

    Raises:
        UsageError: this is no x86-64 Linux with apt-get and dpkg. SetupError: a package cannot be had.
    """
    folder = folder.absolute()
    if (folder / DESCRIPTION).exists():
        read_json(folder / DESCRIPTION, "description of the emulated machine", FORMAT, f"remove {folder}")
        _make_tools(folder)  # ziglang may lie elsewhere by now
        return EmulatedMachine(folder)
    check_machine()
    make_folder(folder)
    versions = {}
    for architecture, packages in PACKAGES.items():
        report(f"fetching {packages[0]} for {architecture}")
        versions |= fetch_tree(folder, architecture, packages)
    for other in (folder / "amd64/usr/bin").iterdir():
        if other.name != EMULATOR:
            other.unlink()
    _make_root(folder)
    _make_tools(folder)
    write_json(folder / DESCRIPTION, {"format": FORMAT, "versions": versions}, force=True)
    return EmulatedMachine(folder)


def _make_root(folder: Path) -> None:
    """Where programs find Android's names, and OpenCL's loader finds PoCL.

    All are whole paths of this machine: PoCL looks for its files beside its library by a call that the emulator does
    not turn to the root.
    """
    libraries = folder / "arm64" / LIBRARIES
    links = {"root/system/bin/linker64": libraries / "ld-linux-aarch64.so.1"}
    links |= {f"root/system/lib64/{name}": libraries / other for name, other in NAMES.items()}
    for name, target in links.items():
        make_folder((folder / name).parent)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    (make_folder(folder / "vendors") / "pocl.icd").write_text(f"{libraries}/libpocl.so.2\n", encoding="utf-8")


def _make_tools(folder: Path) -> None:
    """The linker of PoCL's kernels: a program that it starts, so one for this machine's processor."""
    tree = folder / "arm64"
    compiler = next((tree / "usr/lib/gcc/aarch64-linux-gnu").iterdir()).relative_to(tree)
    zig = Path(ziglang.__file__).with_name("zig")
    linker = make_folder(folder / "tools") / "ld"
    linker.write_text(
        "#!/bin/sh\nunset LD_LIBRARY_PATH\n"
        f'exec "{zig}" ld.lld "--sysroot={tree}" -L=/{LIBRARIES} -L=/{compiler} "$@"\n',
        encoding="utf-8",
    )
    linker.chmod(0o755)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default_folder()
    print(f"{set_up(target, lambda text, *_: print(text, flush=True)).folder}: an arm64 machine with PoCL")
