"""A traced network and a target in, a package for the C runtime out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from codegen.artifact.manifest import Manifest
from codegen.building.android_archive import HOST, LIBRARY, archive_bytes, check_archive
from codegen.building.build import choices_for, make_manifest
from codegen.building.element_checks import EntryReference, checking_input, make_checks
from codegen.building.shared_library import make_library
from codegen.building.target import BuildTarget
from codegen.building.traced import TracedNetwork
from codegen.linking.elf import ElfReport
from codegen.lowering.network import Options, lower_network
from codegen.lowering.packages import call_lists, compile_package, package_bytes
from codegen.tuning.database import Tuned
from fleetpose.disk.refusals import naming_output
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import UsageError, WrongResult
from fleetpose.files import atomic_output, check_writable
from fleetpose.interrupt import hold_interrupt
from fleetpose.progress import Report, no_report
from runtime import INCLUDE
from runtime.package import Package, PackageOptions

log = logging.getLogger("codegen.building.package")

#: what a package is called, and an Android archive; and the header beside a library
SUFFIX, ARCHIVE_SUFFIX, HEADER = ".fpk", ".aar", "fleetpose.h"


@dataclass(frozen=True)
class BuiltPackage:
    """A network as the C runtime takes it.

    Attributes:
        content: the file's bytes. manifest: as inside.
        references: what it should compute, for each input size.
    """

    content: bytes
    manifest: Manifest
    references: Sequence[EntryReference]

    def write(self, out: Path, force: bool = False) -> None:
        """Write the package. Raises UsageError where it cannot be written, or exists and `force` is not given."""
        check_writable(*package_files(out).values(), force=force)
        with atomic_output(out, force=True) as path, naming_output(out, path):
            path.write_bytes(self.content)

    @hold_interrupt()
    def write_library(self, out: Path, host: str, force: bool = False, report: Report = no_report) -> ElfReport:
        """Write the C runtime with the package inside, and its header beside it.

        Args:
            out: path of the shared object, lib*.so. host: a key of codegen.linking.hosts.HOSTS.

        Raises:
            UsageError: another name, or a file that exists or cannot be written. LinkError: zig refused.
            ElfError: what was linked cannot run there.
        """
        files = library_files(out)
        check_writable(*files.values(), force=force)
        with ExitStack() as outputs:
            shared, header = (outputs.enter_context(atomic_output(path, force=True)) for path in files.values())
            with naming_output(out, shared):
                elf = make_library(self.content, shared, out.name, host, report)
            header.write_bytes((INCLUDE / HEADER).read_bytes())
        return elf

    @hold_interrupt()
    def write_archive(self, out: Path, force: bool = False, report: Report = no_report) -> ElfReport:
        """Write an Android archive: the C runtime with the package inside for Android's arm64, as Gradle takes it.

        Raises:
            UsageError: another name, or a file that exists or cannot be written. LinkError: zig refused.
            ElfError, ArchiveError: what was made would not run, read back.
        """
        check_writable(*archive_files(out).values(), force=force)
        with WorkFolder() as folder:
            make_library(self.content, folder / LIBRARY, LIBRARY, HOST, report)
            content = archive_bytes((folder / LIBRARY).read_bytes())
        with atomic_output(out, force=True) as path, naming_output(out, path):
            path.write_bytes(content)
            return check_archive(path)

    def check(self, report: Report = no_report) -> None:
        """Run the package on this machine's device, once at each input size, and compare its outputs with float64.

        Args:
            report: told what is being done.

        Raises:
            WrongResult: an output is further from float64 than rounding explains. PackageError: it does not run.
        """
        report("running it on the device, to judge it")
        with WorkFolder() as folder:
            (folder / f"checked{SUFFIX}").write_bytes(self.content)
            with Package(folder / f"checked{SUFFIX}", PackageOptions(any_device=True)) as package:
                for entry, reference in zip(self.manifest.entries, self.references, strict=True):
                    outputs = package.run(checking_input(entry.input.shape))
                    for (name, result), right in zip(outputs.items(), reference.outputs, strict=True):
                        if (fault := right.fault(result)) is not None:
                            size = "x".join(map(str, entry.size))
                            raise WrongResult(
                                f"what was built is wrong on {package.device}: output {name} at {size} {fault}; "
                                "nothing was written. Try --tuned none, or another driver"
                            )
                if replaced := package.replaced:
                    log.warning("%s computes these layers by second kernels: %s", package.device, ", ".join(replaced))


@hold_interrupt()
def build_package(
    network: TracedNetwork,
    target: BuildTarget,
    tuned: Tuned | None = None,
    report: Report = no_report,
) -> BuiltPackage:
    """Compile a network for a target; its kernels are those of the artifact that `codegen.building.build` makes.

    The package has what each layer should compute, so that a phone can tell whether it does, and second kernels for
    layers that do not.

    Args:
        network: what to build; target: what for; its host is of no account.
        tuned: tuned data to choose schedules by; None for that of the target's profile.
        report: told what is being done.

    Raises:
        UsageError: a target that cannot be built for, or a layer without a schedule.
    """
    target.check()
    options = Options(
        target.dtype, network.sparsities, choices_for(target, tuned), False, images_beside=True, spares=True
    )
    lowered = lower_network(network.graphs, target.profile, options, network.spec.outputs, report)
    report("generating OpenCL")
    kernels, lists = compile_package(lowered, target.profile), call_lists(lowered)
    references = make_checks(network.graphs, lowered, kernels, lists, target.profile, report)
    manifest = make_manifest(network, target, lowered)
    checks = [reference.checks for reference in references]
    return BuiltPackage(package_bytes(lowered, kernels, manifest, lists, checks), manifest, references)


def package_files(out: Path) -> dict[str, Path]:
    """The files of a package at `out`, by what they are. Raises UsageError for a name that is none of a package."""
    if out.suffix != SUFFIX:
        raise UsageError(f"a package must be named *{SUFFIX}, not {out.name}")
    return {"-o": out}


def library_files(out: Path) -> dict[str, Path]:
    """Likewise those of an app's library."""
    if not out.name.startswith("lib") or out.suffix != ".so":
        raise UsageError(f"the library of an app must be named lib*.so, not {out.name}")
    return {"-o": out, "its header": out.with_name(HEADER)}


def archive_files(out: Path) -> dict[str, Path]:
    """Likewise those of an Android archive."""
    if out.suffix != ARCHIVE_SUFFIX:
        raise UsageError(f"an Android archive must be named *{ARCHIVE_SUFFIX}, not {out.name}")
    return {"-o": out}
