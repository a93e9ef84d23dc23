"""A traced network and a target in, an artifact out."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from codegen.artifact.manifest import DISTRIBUTIONS, Manifest, manifest_path, parameters_path
from codegen.artifact.reading import parameters_of, read_manifest
from codegen.artifact.seal import seal
from codegen.building.target import BuildTarget
from codegen.building.traced import TracedNetwork
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.linking.elf import check_artifact
from codegen.linking.hosts import AGENT
from codegen.linking.link import opencl_source
from codegen.lowering.compile import CompiledNetwork, compile_network
from codegen.lowering.hosts import artifact_suffix
from codegen.lowering.network import NetworkModule, Options
from codegen.tuning.database import Tuned, load_tuned
from devices.profile import Profile
from fleetpose.codec import encode
from fleetpose.disk.refusals import naming_output
from fleetpose.errors import UsageError
from fleetpose.files import atomic_output, check_writable, files_together, sha256, text_bytes
from fleetpose.interrupt import hold_interrupt
from fleetpose.progress import Report, no_report

#: what a folder of sources has: TIR, OpenCL, and the manifest beside them
DUMPED = ("module.py", "kernels.cl", "manifest.json")


@dataclass(frozen=True)
class BuiltNetwork:
    """A compiled network with its manifest, which lacks only what linking tells.

    Attributes:
        compiled: the network.
        manifest: without the digests of files and the report on the shared object.
        linker: "lld" or "cc".
    """

    compiled: CompiledNetwork
    manifest: Manifest
    linker: str = "lld"

    @hold_interrupt()
    def write(self, out: Path, force: bool = False, dump: Path | None = None) -> Manifest:
        """Write the shared object, its manifest beside it (.json), and its weights too where they are not inside.

        Args:
            out: path of the shared object, *.so, or, for the agent, of the package, *.fpk, which has manifest and
                weights inside; nothing is written anywhere unless all succeeds.
            force: replace existing files, and with an artifact the file that has its weights.
            dump: folder for the TIR, the OpenCL source and the manifest once more, by the names DUMPED; files there are
                replaced.

        Raises:
            UsageError: another name, or a file that exists or cannot be written.
            LinkError: the linker failed. ElfError: its output cannot run there.
        """
        from safetensors.numpy import save

        check_suffix(out, self.compiled.host)
        if self.compiled.is_package:
            return self._write_package(out, force)
        parameters = self.compiled.lowered.parameters
        check_output(out, weights_file=bool(parameters), force=force)
        replaced = parameters_of(out)
        with ExitStack() as outputs:  # nothing is renamed into place before everything is written
            shared = outputs.enter_context(atomic_output(out, force=True))
            described = outputs.enter_context(atomic_output(manifest_path(out), force=True))
            with naming_output(out, shared):
                self.compiled.export(shared, self.linker)
            report = check_artifact(shared, self.compiled.host)
            beside = {}
            if parameters:
                packed = outputs.enter_context(atomic_output(parameters_path(out), force=True))
                with naming_output(parameters_path(out), packed):
                    packed.write_bytes(save(parameters))
                beside = {"file": parameters_path(out).name, "sha256": sha256(packed)}
            with naming_output(out, shared):
                manifest = seal(shared, replace(self.manifest, parameters_file=beside, elf=encode(report)))
            with naming_output(manifest_path(out), described):
                manifest.write(described)
            if dump is not None:
                outputs.enter_context(files_together(self._dumped(dump, described.read_bytes()), force=True))
        if replaced is not None and not parameters:
            replaced.unlink(missing_ok=True)
        return manifest

    def _write_package(self, out: Path, force: bool) -> Manifest:
        check_output(out, force=force)
        with atomic_output(out, force=True) as path, naming_output(out, path):
            path.write_bytes(self.compiled.package(self.manifest))
        return read_manifest(out)

    def _dumped(self, folder: Path, manifest: bytes) -> dict[Path, bytes]:
        texts = self.compiled.lowered.module.script(), opencl_source(self.compiled.executable.mod)
        return dict(zip((folder / name for name in DUMPED), (*map(text_bytes, texts), manifest), strict=True))


def build(
    network: TracedNetwork,
    target: BuildTarget,
    tuned: Tuned | None = None,
    weights_inside: bool = True,
    report: Report = no_report,
    compiled: CompiledNetwork | None = None,
) -> BuiltNetwork:
    """Compile a network for a target.

    Args:
        network: what to build; target: what for.
        tuned: tuned data to choose schedules by; None for that of the target's profile.
        weights_inside: False keeps packed weights in a file beside the shared object.
        report: told what is being done.
        compiled: this network compiled for this target by these schedules, where it is at hand.

    Raises:
        UsageError: a target that cannot be built for, or a layer without a schedule. LinkError: no linker.
    """
    target.check()
    options = Options(target.dtype, network.sparsities, choices_for(target, tuned), weights_inside)
    if compiled is None:
        outputs = network.spec.outputs
        compiled = compile_network(network.graphs, target.profile, options, target.host, outputs, report)
    return BuiltNetwork(compiled, make_manifest(network, target, compiled.lowered), target.linker)


def choices_for(target: BuildTarget, tuned: Tuned | None) -> Callable[[Workload, Profile], ScheduleChoice | None]:
    """How schedules are chosen: by tuned data, None for that of the target's profile."""
    return (load_tuned(target.profile) if tuned is None else tuned).choice


def make_manifest(network: TracedNetwork, target: BuildTarget, lowered: NetworkModule) -> Manifest:
    """What a network that was lowered for a target is, and what it was made from; it lacks digests of files."""
    spec = network.spec
    return Manifest(
        network.graphs[0].name,
        "",
        tuple(lowered.entries),
        preprocessing=encode(spec.preprocessing),
        stride=spec.stride,
        weights=dict(network.weights),
        parameters=() if target.host == AGENT else tuple(lowered.parameters),
        device=dict(target.device),
        profile=target.profile.name,
        gpu=target.profile.gpu,
        host=target.host,
        versions={name: importlib.metadata.version(name) for name in DISTRIBUTIONS},
        textures=lowered.textures,
        dtype=target.dtype,
        plan=dict(network.plan),
        widened=dict(network.widened or {"by": "length"}) if target.dtype == "float16" else {},
        decoding=spec.decoding,
        cuts=network.cuts,
    )


def output_files(out: Path, weights_file: bool = False) -> dict[str, Path]:
    """The files of an artifact at `out`, by what they are. Raises UsageError for a name that is none of an artifact."""
    if out.suffix == artifact_suffix(AGENT):
        return {"-o": out}
    if out.suffix != ".so":
        raise UsageError(f"the artifact must be named *.so, or, for the agent, *.fpk, not {out.name}")
    weights = {"its weights": parameters_path(out)} if weights_file else {}
    return {"-o": out, "its manifest": manifest_path(out), **weights}


def check_suffix(out: Path, host: str) -> None:
    """Raise UsageError unless an artifact for `host` may have that name."""
    if out.suffix != (suffix := artifact_suffix(host)):
        what = "the agent loads packages" if host == AGENT else f"host {host} loads shared objects"
        raise UsageError(f"{what}; name the artifact *{suffix}, not {out.name}")


def check_output(out: Path, weights_file: bool = False, force: bool = False) -> None:
    """Raise UsageError unless an artifact can be written to `out` and beside it."""
    check_writable(*output_files(out, weights_file).values(), force=force)
