"""Getting the compilers: Debian packages downloaded by apt, unpacked into a folder, nothing installed.

Needs apt-get, dpkg and Debian's archive keyring; no root. The program that builds kernels is compiled by ziglang.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from codegen.inspection.compilers import ADRENO_TREE, BUILDER, DESCRIPTION, FORMAT, MALI_TREE, Compilers
from fleetpose.errors import FleetposeError, UsageError
from fleetpose.files import make_folder, remove_output, write_json
from fleetpose.progress import Report, no_report

MIRROR, SUITES = "http://deb.debian.org/debian", ("trixie", "trixie-backports")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Mesa's OpenCL, the kernel drivers that do nothing, OpenCL's loader; the emulator is for this machine's processor
PACKAGES = {
    MALI_TREE: ("mesa-opencl-icd", "mesa-drm-shim", "ocl-icd-libopencl1"),
    ADRENO_TREE: ("mesa-opencl-icd", "mesa-drm-shim", "ocl-icd-libopencl1", "qemu-user"),
}
#: what the C compiler is told of each tree
ZIG_TARGETS = {MALI_TREE: "aarch64-linux-gnu.2.36", ADRENO_TREE: "x86_64-linux-gnu.2.36"}
#: folders at the root of a Debian system that are links into /usr
MERGED = ("bin", "sbin", "lib", "lib64")
SOURCE = Path(__file__).with_name("build_kernels.c")

_SETTINGS = """\
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{state}";
Dir::State::lists "{state}/lists";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
Dir::Etc::sourcelist "{state}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
"""


class SetupError(FleetposeError):
    """A package cannot be had or unpacked; the text says which, and what mends it."""

    exit_status = 1


def set_up(folder: Path, report: Report = no_report) -> Compilers:
    """Download and unpack the compilers into `folder`, over what is there.

    Args:
        folder: made where it is not there; takes 1 GB. It counts as whole only when all is done.
        report: told each step.

    Raises:
        UsageError: the machine is not one they run on, a program is missing, or the folder cannot be written to.
        SetupError: a package cannot be had; the text has what apt-get said.
    """
    check_machine()
    folder = make_folder(folder).absolute()
    remove_output(folder / DESCRIPTION)
    versions: dict[str, str] = {}
    for number, (architecture, packages) in enumerate(PACKAGES.items()):
        report(f"fetching {packages[0]} for {architecture}", number, len(PACKAGES) + 1)
        versions |= fetch_tree(folder, architecture, packages)
    report("compiling the builder of kernels", len(PACKAGES), len(PACKAGES) + 1)
    for architecture, target in ZIG_TARGETS.items():
        _compile_builder(folder / architecture / BUILDER, target)
    write_json(folder / DESCRIPTION, {"format": FORMAT, "versions": versions}, force=True)
    return Compilers(folder, versions)


def fetch_tree(
    folder: Path,
    architecture: str,
    packages: Sequence[str],
    with_needs: bool = True,
    suites: Sequence[str] = SUITES,
) -> dict[str, str]:
    """Download Debian packages and unpack them into the folder's tree of an architecture.

    Args:
        with_needs: with all other packages that they need.
        suites: of Debian that they are from; the last is asked first.

    Returns:
        The packages' versions by "ARCHITECTURE/NAME".

    Raises:
        SetupError: a package cannot be had or unpacked.
    """
    versions: dict[str, str] = {}
    archives = _download(folder / f"apt-{architecture}", architecture, packages, with_needs, suites)
    tree = make_folder(folder / architecture)
    for archive in archives:
        _run(["dpkg", "-x", str(archive), str(tree)], f"unpacking {archive.name}")
        name, version, *_ = archive.name.split("_")
        versions[f"{architecture}/{name}"] = version.replace("%3a", ":")
    _complete(tree)
    shutil.rmtree(folder / f"apt-{architecture}")
    return versions


def check_machine() -> None:
    """Raise UsageError, with what is missing, where the compilers cannot be set up."""
    if (machine := platform.machine().lower()) not in ("x86_64", "amd64") or sys.platform != "linux":
        raise UsageError(f"the GPU compilers run on x86-64 Linux; this is {machine} {sys.platform}")
    for program, package in (("apt-get", "apt"), ("dpkg", "dpkg")):
        if shutil.which(program) is None:
            raise UsageError(f"{program} is missing, with which the GPU compilers are fetched: install {package}")
    if not KEYRING.exists():
        raise UsageError(f"{KEYRING} is missing: install debian-archive-keyring")


def _download(
    state: Path, architecture: str, packages: Sequence[str], with_needs: bool, suites: Sequence[str]
) -> list[Path]:
    """The archives of some packages, and of what they need, fetched with settings and lists of their own."""
    make_folder(state / "lists" / "partial")
    make_folder(state / "cache" / "archives" / "partial")
    (state / "status").write_text("", encoding="utf-8")
    sources = (f"deb [arch={architecture} signed-by={KEYRING}] {MIRROR} {suite} main\n" for suite in suites)
    (state / "sources.list").write_text("".join(sources), encoding="utf-8")
    settings = state / "apt.conf"
    settings.write_text(_SETTINGS.format(architecture=architecture, state=state), encoding="utf-8")
    environment = {"APT_CONFIG": str(settings)}
    _run(["apt-get", "-qq", "update"], f"the list of Debian's packages for {architecture}", environment)
    fetch = ["-y", "--download-only", "-t", suites[-1], "install"] if with_needs else ["download"]
    archives = state / "cache" / "archives"
    _run(["apt-get", "-qq", *fetch, *packages], f"{', '.join(packages)} for {architecture}", environment, archives)
    return sorted(archives.glob("*.deb"))


def _complete(tree: Path) -> None:
    """Add to an unpacked tree what base packages would have brought: links into /usr, /tmp and /dev/null."""
    for name in MERGED:
        if (tree / "usr" / name).is_dir() and not (tree / name).exists():
            (tree / name).symlink_to(f"usr/{name}")
    make_folder(tree / "tmp").chmod(0o1777)
    nothing = make_folder(tree / "dev") / "null"
    if not nothing.exists():
        try:
            os.mknod(nothing, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except OSError:
            nothing.touch()  # a device takes root; an empty file does, too
    nothing.chmod(0o666)  # others than whoever sets the compilers up may use them


def _compile_builder(output: Path, target: str) -> None:
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-O1", str(SOURCE), "-o", str(output), "-ldl"]
    _run(command, f"compiling {SOURCE.name} (python -m pip install ziglang)")


def _run(
    command: Sequence[str], what: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> None:
    settings = {**os.environ, "LC_ALL": "C", **(environment or {})}
    done = subprocess.run(
        [*command], env=settings, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        said = " ".join(done.stdout.decode(errors="replace").split())[-600:]
        raise SetupError(f"{what} failed: {said or f'{command[0]} ended with status {done.returncode}'}")
