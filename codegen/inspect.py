"""What compilers for phone GPUs make of a network's kernels, without a phone: `python -m codegen.inspect`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from codegen.inspection.chips import CHIPS, chip_for
from codegen.inspection.compilers import default_folder, load_compilers
from codegen.inspection.gathering import launches_of_layer, launches_of_network
from codegen.inspection.inspection import Inspection, inspect
from codegen.inspection.launches import LayerLaunches
from codegen.inspection.packages import set_up
from codegen.inspection.report import print_report, to_json
from codegen.layer import ConvOptions, layer_of_model, make_conv
from codegen.lowering.layer import standalone_planes
from codegen.lowering.network import Options
from codegen.lowering.sizes import trace_model
from codegen.precision.choice import OF_ALL, WIDEN_HELP, widen, widening_file
from codegen.tuning.database import Tuned, load_tuned
from devices.profile import ITEM_BYTES, Profile, load_profile
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import add_flags, from_arguments, whole
from fleetpose.progress import Report, status
from fleetpose.trust import add_trust_flag
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity, parse_variant
from models.prune.oneshot import prune_graph
from models.resolve import MODEL_HELP, model_spec


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser(
        "codegen.inspect", "Show what compilers for phone GPUs make of a network's kernels, without a phone."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", help=MODEL_HELP)
    what.add_argument(
        "--conv", type=whole(1, 1 << 16), nargs=4, metavar=("CIN", "COUT", "H", "W"), help="a convolution, H x W input"
    )
    what.add_argument(
        "--setup", type=Path, nargs="?", const=True, metavar="FOLDER",
        help="get the compilers, 200 MB of Debian packages, into a folder; nothing is installed (default: the one that "
        "--compilers has by default)",
    )  # fmt: skip
    add_trust_flag(parser)
    parser.add_argument("--layer", help="one layer of --model, outside of the network (default: the whole network)")
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input size of --model (default: its own)")
    add_flags(parser, ConvOptions)
    parser.add_argument("--profile", help="profile name or TOML file of a Mali or an Adreno")
    parser.add_argument(
        "--gpu", choices=tuple(CHIPS), help="chip to build for (default: the one that suits the profile)"
    )
    parser.add_argument("--dtype", choices=tuple(ITEM_BYTES), default="float32", help="of activations and weights")
    parser.add_argument("--widen", metavar="FILE", help=WIDEN_HELP)
    zeros = parser.add_mutually_exclusive_group()
    zeros.add_argument("--plan", type=Path, metavar="FILE", help="which layers of --model are sparse (default: none)")
    zeros.add_argument(
        "--sparsity", type=parse_variant, metavar="TEXT",
        help="zeros of --conv, --layer, or of each convolution of --model that can have them, such as columns:0.75:8x1",
    )  # fmt: skip
    parser.add_argument("--tuned", metavar="FILE", help="tuned data, or none (default: that of the profile)")
    parser.add_argument(
        "--compilers", type=Path, metavar="FOLDER",
        help="where --setup put them (default: FLEETPOSE_COMPILERS, else below the cache, ~/.cache/fleetpose)",
    )  # fmt: skip
    return parser


def main(arguments: argparse.Namespace) -> int:
    if arguments.setup is not None:
        return _set_up(arguments)
    check_flags(arguments)
    profile = load_profile(arguments.profile)
    profile.lanes_of(arguments.dtype)
    chip = chip_for(profile, arguments.gpu)
    compilers = load_compilers(arguments.compilers)
    compilers.command(chip)
    tuned = load_tuned(profile, arguments.tuned)
    with status("inspecting") as progress:
        layers = _launches(arguments, profile, tuned, progress)
        inspection = inspect(layers, profile, compilers, chip, arguments.dtype, progress)
    if arguments.json:
        cli.print_json(to_json(inspection))
    else:
        print_report(inspection)
    return print_faults(inspection)


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not go together."""
    if not (arguments.model or arguments.conv):
        raise UsageError("give --model NAME or --conv CIN COUT H W to inspect; --setup gets the compilers")
    if not arguments.profile:
        raise UsageError("--profile is missing, for whose GPU kernels are built; for example --profile mali-g76")
    if arguments.layer and not arguments.model:
        raise UsageError("--layer needs --model, whose layer it is")
    if arguments.plan and (arguments.layer or not arguments.model):
        raise UsageError("--plan is of a whole network; give --sparsity for a layer")
    if widening_file(arguments.widen) and (arguments.layer or not arguments.model):
        raise UsageError("a file of --widen is of a whole network; give --widen sums for a layer")


def print_faults(inspection: Inspection) -> int:
    """Say what is wrong with kernels, a line each, on stderr; the command's exit status."""
    for fault in inspection.faults:
        print(fault, file=sys.stderr)
    return 1 if inspection.faults else 0


def _set_up(arguments: argparse.Namespace) -> int:
    folder = default_folder() if arguments.setup is True else arguments.setup
    with status("setting up") as progress:
        compilers = set_up(folder, progress)
    versions = {name: version for name, version in compilers.versions.items() if "mesa-opencl-icd" in name}
    if arguments.json:
        cli.print_json({"folder": str(compilers.folder), "versions": dict(compilers.versions)})
    else:
        named = ", ".join(f"{name} {version}" for name, version in versions.items())
        print(f"{compilers.folder}: {named}")
        if folder.absolute() != default_folder().absolute():
            print(f"export FLEETPOSE_COMPILERS={compilers.folder}")
    return 0


def _launches(
    arguments: argparse.Namespace, profile: Profile, tuned: Tuned, progress: Report
) -> Sequence[LayerLaunches]:
    """The launches of the network or the layer that the flags name."""
    if arguments.conv or arguments.layer:
        return [_layer_launches(arguments, _layer(arguments), profile, tuned)]
    model_spec(arguments.model)
    plan = Plan.load(arguments.plan, arguments.model) if arguments.plan else None
    progress("tracing the network")
    graph = trace_model(arguments.model, arguments.size)
    if arguments.widen is not None:
        graph = widen(graph, arguments.widen)
    if arguments.sparsity is not None:
        plan = uniform_plan(graph, arguments.sparsity)
    if plan is None:
        return launches_of_network(graph, profile, Options(arguments.dtype, {}, tuned.choice), progress)
    plan.check(graph.layers)
    options = Options(arguments.dtype, plan.sparsities, tuned.choice)
    return launches_of_network(prune_graph(graph, plan), profile, options, progress)


def uniform_plan(graph: Graph, sparsity: Sparsity) -> Plan:
    """One sparsity for every convolution that can have it. Raises UsageError where none can."""
    sparsities = {layer.name: sparsity for layer in graph.layers if sparsity.applies_to(layer) is None}
    if not sparsities:
        raise UsageError(f"no convolution of {graph.name} can be {sparsity}")
    return Plan.of(graph.name, graph.layers, sparsities)


def _layer(arguments: argparse.Namespace) -> Layer:
    if arguments.layer:
        return layer_of_model(arguments.model, arguments.layer, arguments.size)
    cin, cout, height, width = arguments.conv
    return make_conv((cin, cout), (height, width), from_arguments(ConvOptions, arguments))


def _layer_launches(arguments: argparse.Namespace, layer: Layer, profile: Profile, tuned: Tuned) -> LayerLaunches:
    sparsity = arguments.sparsity
    if sparsity is not None and (refusal := sparsity.applies_to(layer)):
        raise UsageError(f"{sparsity}: {refusal}")
    widened = OF_ALL[arguments.widen or "nothing"] if arguments.dtype == "float16" else ""
    lanes = profile.lanes_of(arguments.dtype)
    workload = standalone_planes(layer, lanes, dtype=arguments.dtype, sparsity=sparsity, widened=widened)
    return launches_of_layer(workload, profile, tuned.choice(workload, profile), layer.name)


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
