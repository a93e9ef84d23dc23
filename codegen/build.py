"""A network to what runs it: `python -m codegen.build`.

An artifact for TVM's runtime (a shared object and its manifest), a package for the C runtime, or an app's library: the
C runtime with a package inside, by itself or in an Android archive.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codegen.artifact.manifest import Manifest
from codegen.building.target import BuildTarget
from codegen.building.traced import TracedNetwork, trace_network
from codegen.linking.elf import ElfReport
from codegen.linking.hosts import AGENT
from codegen.lowering.hosts import add_target_host, host_for
from codegen.precision.choice import WIDEN_HELP, Widening, widen, widening_file
from devices import open_device
from devices.profile import ITEM_BYTES, load_profile
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.files import make_folder
from fleetpose.options import SEED
from fleetpose.outputs import check_outputs
from fleetpose.progress import Progress, status
from fleetpose.trust import add_trust_flag
from models.plans.plan import Plan
from models.resolve import MODEL_HELP, model_files, model_spec

if TYPE_CHECKING:
    from codegen.tuning.database import Tuned

#: what there is to make of a network
FORMATS = ("artifact", "package", "library", "aar")
#: the only host that an Android archive is for
ARCHIVE_HOST = "android-arm64"


def target_of(arguments: argparse.Namespace) -> BuildTarget:
    """The target that --device, --profile, --target-host, --linker and --dtype describe."""
    profile = load_profile(arguments.profile) if arguments.profile else None
    host = ARCHIVE_HOST if arguments.format == "aar" else arguments.host
    if arguments.device is None:
        if profile is None:
            raise UsageError("give --device host, --device rpc:KEY, or --profile NAME to build without a device")
        return BuildTarget(profile, {}, host_for(profile, None, host), arguments.linker, arguments.dtype)
    with open_device(arguments.device, profile) as session:
        return BuildTarget.of(session, host, arguments.linker, arguments.dtype)


def check_files(arguments: argparse.Namespace) -> None:
    """Raise UsageError for outputs that cannot be written, or would replace what is read or exists."""
    from codegen.building.build import DUMPED, output_files
    from codegen.building.package import archive_files, library_files, package_files

    if arguments.format == "artifact":
        files = output_files(arguments.out, arguments.weights_file)
    else:
        files_of = {"package": package_files, "library": library_files, "aar": archive_files}
        files = files_of[arguments.format](arguments.out)
    outputs: dict[str, Path | list[Path]] = {**files}
    if arguments.dump:
        outputs["--dump"] = [arguments.dump / name for name in DUMPED]
    inputs = {"--model": model_files(arguments.model), "--weights": arguments.weights, "--plan": arguments.plan,
              "--tuned": arguments.tuned, "--profile": arguments.profile,
              "--widen": widening_file(arguments.widen),
              }  # fmt: skip
    check_outputs(outputs, inputs, force=arguments.force)


def build_files(arguments: argparse.Namespace, progress: Progress) -> Manifest:
    """Load what the flags name, build it, and write it. Everything is checked before the work."""
    from codegen.building.build import check_suffix
    from codegen.tuning.database import load_tuned

    check_files(arguments)
    model_spec(arguments.model)
    target = target_of(arguments)
    target.check()
    if arguments.format == "artifact":
        check_suffix(arguments.out, target.host)
    plan = Plan.load(arguments.plan, arguments.model) if arguments.plan else None
    check_widening(arguments)
    tuned = load_tuned(target.profile, arguments.tuned)
    if arguments.dump:
        make_folder(arguments.dump)
    progress("tracing the network")
    network = trace_network(arguments.model, arguments.weights, arguments.seed, arguments.size)
    if plan:
        network = network.under(plan, arguments.prune, arguments.plan)
    network = widen_network(network, arguments, progress)
    write = _write_artifact if arguments.format == "artifact" else _write_package
    return write(network, target, tuned, arguments, progress)


def _write_artifact(
    network: TracedNetwork, target: BuildTarget, tuned: Tuned, arguments: argparse.Namespace, progress: Progress
) -> Manifest:
    from codegen.building.build import build
    from codegen.building.checking import can_check, check_network

    if target.host == AGENT and (arguments.weights_file or arguments.dump):
        raise UsageError("--weights-file and --dump are of shared objects; packages have weights and sources inside")
    built = build(network, target, tuned, not arguments.weights_file, progress)
    if arguments.device is not None and arguments.check:
        with open_device(arguments.device, target.profile) as session:
            if can_check(built, session):
                check_network(built, network, session, arguments.seed, progress)
    progress("linking")
    return built.write(arguments.out, arguments.force, arguments.dump)


def _write_package(
    network: TracedNetwork, target: BuildTarget, tuned: Tuned, arguments: argparse.Namespace, progress: Progress
) -> Manifest:
    from codegen.building.package import build_package

    built = build_package(network, target, tuned, report=progress)
    if arguments.device is not None and arguments.check:
        with open_device(arguments.device, target.profile) as session:
            own = session.runs_kernels and session.on_this_machine
        if own:
            built.check(progress)
    if arguments.format == "package":
        built.write(arguments.out, arguments.force)
        return built.manifest
    if arguments.format == "aar":
        elf = built.write_archive(arguments.out, arguments.force, progress)
    else:
        elf = built.write_library(arguments.out, target.host, arguments.force, progress)
    return replace(built.manifest, elf=encode(elf))


def check_widening(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a file of --widen that is none of the model, or folders of --data without photographs."""
    if (file := widening_file(arguments.widen)) is not None:
        Widening.load(file, arguments.model)
    if arguments.data:
        from models.prune.reconstruction.calibration import find_photographs

        find_photographs(arguments.data)


def widen_network(network: TracedNetwork, arguments: argparse.Namespace, progress: Progress) -> TracedNetwork:
    """The network with float32 where --widen or --data say so."""
    if arguments.widen is not None:
        file, widened = widening_file(arguments.widen), widen(network.graphs[0], arguments.widen).widened
        return network.with_widened(widened or {}, "photographs" if file else "flag", file)
    if arguments.data:
        from codegen.building.widened import widen_by_photographs

        return widen_by_photographs(network, arguments.data, seed=arguments.seed, report=progress)
    return network


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.build", "Compile a whole pose network into what runs it on a device.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--weights", type=Path, help="safetensors or published checkpoint (default: random weights)")
    source.add_argument("--seed", type=SEED, default=0, help="seed of the random weights")
    parser.add_argument("--device", help="host or rpc:KEY: build for this device")
    parser.add_argument("--profile", help="profile name or TOML file; with --device, instead of the device's own")
    add_target_host(parser)
    parser.add_argument("--linker", default="lld", help="lld (needs no compiler) or cc (default: %(default)s)")
    parser.add_argument(
        "--size",
        type=cli.image_size,
        action="append",
        metavar="HxW",
        help="may be repeated (default: the model's own size)",
    )
    parser.add_argument("--weights-file", action="store_true", help="keep the weights beside the .so, not inside")
    parser.add_argument(
        "--dtype",
        choices=tuple(ITEM_BYTES),
        default="float32",
        help="element type (default: %(default)s)",
    )
    widening = parser.add_mutually_exclusive_group()
    widening.add_argument("--widen", metavar="FILE", help=WIDEN_HELP)
    widening.add_argument(
        "--data", nargs="+", type=Path, metavar="DIR",
        help="photographs, by which the layers that half precision does not suffice for are found (default: none)",
    )  # fmt: skip
    parser.add_argument("--plan", type=Path, metavar="FILE", help="which layers are sparse, and how (default: none)")
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove the smallest weights where the plan's zeros are missing",
    )
    parser.add_argument("--tuned", metavar="FILE", help="tuned data, or none (default: that of the profile)")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="artifact",
        help="artifact: for TVM's runtime; package: for the C runtime (.fpk); library: the C runtime with the package "
        "inside, for an app; aar: such a library for Android, as Gradle takes it (default: %(default)s)",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True,
        help="what to write: an artifact's .so, beside which its .json goes, or its .fpk for the agent; a package's "
        ".fpk; a library's lib*.so, beside which fleetpose.h goes; an Android archive's .aar",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="do not run it on --device and compare it with float64 before it is written",
    )
    parser.add_argument("--dump", type=Path, metavar="DIR", help="also write TIR, OpenCL source and manifest here")
    return parser


def main(arguments: argparse.Namespace) -> int:
    if arguments.format != "artifact" and (arguments.weights_file or arguments.dump):
        raise UsageError("--weights-file and --dump are of artifacts; packages have weights and sources inside")
    if arguments.format == "aar" and arguments.host not in (None, ARCHIVE_HOST):
        raise UsageError(f"an Android archive is for {ARCHIVE_HOST}, not {arguments.host}; leave --target-host out")
    if arguments.prune and not arguments.plan:
        raise UsageError("--prune needs --plan, which says what to prune")
    if arguments.dtype != "float16" and (arguments.widen or arguments.data):
        raise UsageError("--widen and --data are about half precision; give --dtype float16 with them")
    with status("building") as progress:
        manifest = build_files(arguments, progress)
    if arguments.json:
        cli.print_json({"artifact": str(arguments.out), **encode(manifest)})
    else:
        sizes = ", ".join(f"{height}x{width}" for height, width in manifest.sizes)
        size = arguments.out.stat().st_size / 1e6
        what = f"{manifest.model} for {manifest.profile}, {manifest.dtype}"
        print(f"{arguments.out}: {what}, {size:.1f} MB, input sizes {sizes}")
        if manifest.elf:
            print(f"checked for {manifest.host}: {ElfReport(**manifest.elf)}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
