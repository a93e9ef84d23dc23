"""The folder that has the compilers, and how one of them is started for a chip. Imports no TVM."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codegen.inspection.chips import Chip
from fleetpose.codec import decode
from fleetpose.disk.caches import cache_folder
from fleetpose.errors import UsageError
from fleetpose.files import read_json

#: what says that a folder is whole, and the format of it
DESCRIPTION, FORMAT = "compilers.json", "fleetpose.compilers/1"
#: Debian architectures whose builds have the two back ends: Mali's is in none for x86-64
ADRENO_TREE, MALI_TREE = "amd64", "arm64"
#: the program that builds kernels, below the root of each tree
BUILDER = "build_kernels"
#: where the loader of OpenCL looks for Mesa
VENDOR_FILE = "/etc/OpenCL/vendors/rusticl.icd"


@dataclass(frozen=True)
class Compilers:
    """Unpacked compilers.

    Attributes:
        folder: has the trees of both architectures.
        versions: of each Debian package, by "ARCHITECTURE/NAME".
    """

    folder: Path
    versions: Mapping[str, str] = field(default_factory=dict)

    def version(self, chip: Chip) -> str:
        """Mesa's version, as Debian has it."""
        return self.versions.get(f"{MALI_TREE if chip.is_mali else ADRENO_TREE}/mesa-opencl-icd", "")

    def command(self, chip: Chip) -> tuple[list[str], dict[str, str]]:
        """The arguments and the environment that build kernels for a chip.

        Raises:
            UsageError: this system lets no process have another root, and there is no emulator either.
        """
        environment = {"HOME": "/tmp", "MESA_SHADER_CACHE_DISABLE": "1", "OCL_ICD_VENDORS": VENDOR_FILE}
        return self._mali(chip, environment) if chip.is_mali else self._adreno(chip, environment)

    def _mali(self, chip: Chip, environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        tree = self.folder / MALI_TREE
        shim = "/usr/lib/aarch64-linux-gnu/libpanfrost_noop_drm_shim.so"
        environment |= {"RUSTICL_ENABLE": "panfrost", "PAN_GPU_ID": chip.number}
        environment |= {"BIFROST_MESA_DEBUG": "shaders,shaderdb", "RUSTICL_FEATURES": "fp16"}
        return [*self._emulated("aarch64", tree, shim), str(tree / BUILDER)], environment

    def _adreno(self, chip: Chip, environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """Mesa looks for its OpenCL library in /usr/lib/clc, so the tree has to be the root of the process."""
        tree = self.folder / ADRENO_TREE
        environment |= {"RUSTICL_ENABLE": "freedreno", "FD_GPU_ID": chip.number, "IR3_SHADER_DEBUG": "cs"}
        shim = "/usr/lib/x86_64-linux-gnu/libfreedreno_noop_drm_shim.so"
        change = root_changer()
        if change is None:
            return [*self._emulated("x86_64", tree, shim), str(tree / BUILDER)], environment
        loader = ["/usr/lib64/ld-linux-x86-64.so.2", "--preload", shim]
        return [*change, str(tree), *loader, f"/{BUILDER}"], environment

    def _emulated(self, processor: str, tree: Path, shim: str) -> list[str]:
        """An emulator that looks for all files in a tree first."""
        emulator = self.folder / ADRENO_TREE / f"usr/bin/qemu-{processor}"
        return [str(emulator), "-L", str(tree), "-E", f"LD_PRELOAD={tree}{shim}"]


@functools.cache
def root_changer() -> tuple[str, ...] | None:
    """The command that runs another one with another root: chroot, in a user namespace unless this is root.

    None where the system does not allow it.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    chroot, unshare = (shutil.which(name, path=path) for name in ("chroot", "unshare"))
    if chroot is None or (os.geteuid() and unshare is None):
        return None
    command = (chroot,) if not os.geteuid() else (str(unshare), "-r", chroot)
    try:
        done = subprocess.run([*command, "/", "/bin/sh", "-c", ":"], capture_output=True, check=False)
    except OSError:
        return None
    return command if done.returncode == 0 else None


def default_folder() -> Path:
    """Where the compilers are: FLEETPOSE_COMPILERS, or below this user's caches. Raises UsageError where neither is."""
    if given := os.environ.get("FLEETPOSE_COMPILERS"):
        return Path(given)
    folder = cache_folder()
    if folder is None:
        raise UsageError(
            "there is no folder for caches (FLEETPOSE_CACHE=0?); give one: --setup FOLDER, --compilers FOLDER"
        )
    return folder / "compilers"


def load_compilers(folder: Path | None = None) -> Compilers:
    """The compilers in a folder. Raises UsageError, which says how to get them, where they are not there."""
    folder = (folder or default_folder()).absolute()
    description = folder / DESCRIPTION
    if not description.exists():
        raise UsageError(
            f"the GPU compilers are not in {folder}; python -m codegen.inspect --setup gets them "
            f"(Debian packages, 200 MB, nothing is installed)"
        )
    content = read_json(description, "description of the compilers", FORMAT, "run --setup again")
    return Compilers(folder, decode(dict[str, str], content.get("versions"), str(description)))
