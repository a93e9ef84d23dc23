"""A network to one deployable shared object and its manifest: `python -m codegen.build`."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codegen.artifact.manifest import Manifest, manifest_path, parameters_path
from codegen.linking.elf import ElfReport, check_artifact
from codegen.lowering.hosts import add_target_host, host_for
from codegen.lowering.sizes import check_sizes, default_sizes, trace_sizes
from devices import open_device
from devices.profile import ITEM_BYTES, Profile, load_profile
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import atomic_output, check_writable, make_folder, sha256
from fleetpose.interrupt import kept_interrupt
from fleetpose.progress import status
from models.plans.plan import Plan
from models.zoo.resolve import MODEL_HELP, build_model, model_spec
from models.zoo.spec import ModelSpec

DISTRIBUTIONS = ("fleetpose", "apache-tvm", "apache-tvm-ffi")


@dataclass(frozen=True)
class Destination:
    """What an artifact is built for.

    Attributes:
        profile: the device's facts, which shape the kernels.
        device: the device's own description, {} when built from a profile alone.
        host: the processor that will load it, a key of codegen.lowering.hosts.HOSTS.
        linker: "lld" or "cc".
    """

    profile: Profile
    device: dict
    host: str = "native"
    linker: str = "lld"


@kept_interrupt()
def build(
    model: str,
    out: Path,
    destination: Destination,
    weights: Path | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    seed: int = 0,
    weights_file: bool = False,
    force: bool = False,
    dump: Path | None = None,
    tuned: str | None = None,
    dtype: str = "float32",
    plan: Path | None = None,
    prune: bool = False,
    progress: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Compile `model` into `out` (a .so) with its manifest beside it (.json), and its weights too if `weights_file`.

    Args:
        model: a name as for `models.zoo.resolve.model_spec`.
        out: path of the shared object; nothing is written there unless all succeeds.
        destination: device and host to build for.
        weights: file to take the weights from; random ones from `seed` without.
        sizes: input (height, width) of each entry; `default_sizes` without.
        weights_file: keep packed weights in `out`'s .weights.safetensors instead of inside.
        force: replace existing files.
        dump: folder for the TIR, the OpenCL source and the manifest.
        tuned: file of tuned data, or "none"; that of the profile without.
        dtype: element type of activations and weights on the device, "float32" or "float16".
        plan: file that says which layers are sparse, and how; all are dense without.
        prune: remove the smallest weights at one go where the weights do not have the plan's zeros.
        progress: told what is being done.

    Raises:
        UsageError: bad names, files or sizes; float16 for a device without; weights that do not follow the plan.
        LinkError: the linker failed. ElfError: its output cannot run there.
    """
    from safetensors.numpy import save_file

    from codegen.linking.link import link_command, opencl_source
    from codegen.lowering.compile import compile_network
    from codegen.lowering.network import Options
    from codegen.lowering.planned import planned_graphs
    from codegen.lowering.target import make_target
    from codegen.tuning.database import tuned_for

    spec = model_spec(model)
    files = [out, manifest_path(out), *([parameters_path(out)] if weights_file else [])]
    if out.suffix != ".so":
        raise UsageError(f"the artifact must be named *.so, not {out.name}")
    check_writable(*files, force=force)
    make_target(destination.profile, destination.host)  # refuse an unknown host before the work
    link_command([], "", destination.host, destination.linker)  # refuse a linker that is not there before the work
    sizes = sizes or default_sizes(spec)
    check_sizes(spec, sizes)
    destination.profile.lanes_of(dtype)  # refuse a type that the device does not have before the work
    chosen = Plan.load(plan, model) if plan else None
    choose = tuned_for(destination.profile, tuned).choice
    if dump:
        make_folder(dump)
    progress("tracing the network")
    graphs, pruned = trace_sizes(model, weights, seed, sizes), False
    if chosen:
        graphs, pruned = planned_graphs(graphs, chosen, prune)
    compiled = compile_network(
        graphs,
        destination.profile,
        Options(dtype, chosen.sparsities if chosen else {}, choose, not weights_file),
        destination.host,
        spec.outputs,
        progress,
    )
    lowered = compiled.lowered
    manifest = Manifest(
        model,
        "",
        tuple(lowered.entries),
        preprocessing=spec.preprocessing.to_dict(),
        stride=spec.stride,
        weights=_weights_facts(spec, weights, seed),
        parameters=tuple(lowered.parameters),
        device=destination.device,
        profile=destination.profile.name,
        host=destination.host,
        versions={name: importlib.metadata.version(name) for name in DISTRIBUTIONS},
        textures=lowered.textures,
        dtype=dtype,
        plan=_plan_facts(plan, pruned) if plan else {},
    )
    progress("linking")
    with ExitStack() as outputs:  # nothing is renamed into place before everything is written
        shared = outputs.enter_context(atomic_output(out, force=True))
        described = outputs.enter_context(atomic_output(manifest_path(out), force=True))
        compiled.export(shared, destination.linker)
        report = check_artifact(shared, destination.host)
        beside = {}
        if lowered.parameters:
            packed = outputs.enter_context(atomic_output(parameters_path(out), force=True))
            save_file(lowered.parameters, packed)
            beside = {"file": parameters_path(out).name, "sha256": sha256(packed)}
        manifest = replace(manifest, sha256=sha256(shared), parameters_file=beside, elf=report.to_dict())
        manifest.write(described)
    if not weights_file:
        parameters_path(out).unlink(missing_ok=True)  # of an artifact that was replaced
    if dump:
        _dump(dump, lowered.module.script(), opencl_source(compiled.executable.mod), manifest)
    return manifest


def _weights_facts(spec: ModelSpec, weights: Path | None, seed: int) -> dict[str, Any]:
    """What the manifest says of the weights."""
    from models.zoo.weights import weights_digest

    if weights is not None:
        return {"file": weights.name, "sha256": sha256(weights)}
    own = {"own": weights_digest(build_model(spec, None, seed))} if spec.own_weights else {}
    return {**own, "seed": seed}


def _plan_facts(plan: Path, pruned: bool) -> dict[str, str]:
    """What the manifest says of the plan."""
    return {"file": plan.name, "sha256": sha256(plan), "zeros": "one-shot" if pruned else "given"}


def _dump(folder: Path, tir: str, opencl: str, manifest: Manifest) -> None:
    (folder / "module.py").write_text(tir)
    (folder / "kernels.cl").write_text(opencl)
    manifest.write(folder / "manifest.json")


def destination_of(arguments: argparse.Namespace) -> Destination:
    """The destination that --device, --profile, --target-host and --linker describe."""
    profile = load_profile(arguments.profile) if arguments.profile else None
    if arguments.device is None:
        if profile is None:
            raise UsageError("give --device host, --device rpc:KEY, or --profile NAME to build without a device")
        return Destination(profile, {}, host_for(profile, False, arguments.host), arguments.linker)
    with open_device(arguments.device, profile) as session:
        host = host_for(session.profile, session.on_this_machine, arguments.host)
        return Destination(session.profile, session.info.to_dict(), host, arguments.linker)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.build", "Compile a whole pose network into one deployable shared object.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--weights", type=Path, help="safetensors or published checkpoint; random weights without")
    source.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--device", help="host or rpc:KEY: build for this device")
    parser.add_argument("--profile", help="profile name or TOML file; with --device, instead of the device's own")
    add_target_host(parser)
    parser.add_argument("--linker", default="lld", help="lld (needs no compiler) or cc")
    parser.add_argument(
        "--size", type=cli.image_size, action="append", metavar="HxW", help="input size to serve; may be repeated"
    )
    parser.add_argument("--weights-file", action="store_true", help="keep the weights beside the .so, not inside")
    parser.add_argument("--dtype", choices=tuple(ITEM_BYTES), default="float32", help="of activations and weights")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="which layers are sparse, and how; dense without")
    parser.add_argument(
        "--prune", action="store_true", help="give the weights the plan's zeros, the smallest at one go"
    )
    parser.add_argument("--tuned", metavar="FILE", help="tuned data, or none; that of the profile without")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the .so to write; its .json goes beside it")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument("--dump", type=Path, metavar="DIR", help="also write the TIR, the OpenCL source, the manifest")
    return parser


def main(arguments: argparse.Namespace) -> int:
    if arguments.prune and not arguments.plan:
        raise UsageError("--prune needs --plan, which says what to prune")
    check_writable(arguments.out, manifest_path(arguments.out), force=arguments.force)
    model_spec(arguments.model)
    with status("building") as progress:
        manifest = build(
            arguments.model,
            arguments.out,
            destination_of(arguments),
            weights=arguments.weights,
            sizes=arguments.size,
            seed=arguments.seed,
            weights_file=arguments.weights_file,
            force=arguments.force,
            dump=arguments.dump,
            tuned=arguments.tuned,
            dtype=arguments.dtype,
            plan=arguments.plan,
            prune=arguments.prune,
            progress=progress,
        )
    if arguments.json:
        cli.print_json({"artifact": str(arguments.out), **manifest.to_dict()})
    else:
        sizes = ", ".join(f"{height}x{width}" for height, width in manifest.sizes)
        size = arguments.out.stat().st_size / 1e6
        what = f"{manifest.model} for {manifest.profile}, {manifest.dtype}"
        print(f"{arguments.out}: {what}, {size:.1f} MB, input sizes {sizes}")
        print(f"checked for {manifest.host}: {ElfReport(**manifest.elf)}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
