"""`python -m models.allocate`: a plan that prunes every layer as far as costs the network's outputs least.

    python -m models.allocate --model human_pose_0001 --sensitivity s.json --ratio 1.8x -o plan.json

Devices do not come into it: what is faster on one is `latency.decide`'s question.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import real
from fleetpose.outputs import check_outputs
from fleetpose.trust import add_trust_flag
from models.graph.network import Graph
from models.graph.tied import macs_of_uses
from models.plans.allocation import COUNTED, PruningOption, allocate, dense_option, options, uniform
from models.plans.eligible import prunable
from models.plans.explain import explain
from models.plans.plan import Plan
from models.prune.masks.families import parse_family
from models.prune.response.curves import Curves, read_divergence
from models.resolve import MODEL_HELP, model_files


def make_allocated_plan(graph: Graph, families: Mapping[str, Curves], ratio: float, counted: str = "params") -> Plan:
    """The plan of least divergence that leaves the graph's parameters or MACs divided by `ratio`.

    Args:
        families: divergence of single layers, by family of sparsities; layers without a curve stay dense.
        ratio: dense / left, 1 or more.
        counted: "params" or "macs".

    Raises:
        UsageError: a ratio that cannot be reached.
    """
    budget = _budget(graph, ratio, counted)
    choices: dict[str, list[PruningOption]] = {}
    macs = macs_of_uses(graph.layers)
    for layer in prunable(graph):
        named = {name: curves[layer.name] for name, curves in families.items() if layer.name in curves}
        curves_of = {parse_family(name): curve for name, curve in named.items()}
        choices[layer.name] = (
            options(layer, curves_of, counted, macs[layer.name])
            if curves_of
            else [dense_option(layer, counted, macs[layer.name])]
        )
    fixed = _total(graph, counted) - sum(layer_options[0].left for layer_options in choices.values())
    try:
        chosen = allocate(choices, budget - fixed)
    except UsageError as error:
        least = sum(min(option.left for option in layer_options) for layer_options in choices.values())
        most = _total(graph, counted) / (fixed + least)
        raise UsageError(
            f"{ratio:g}x of {counted} cannot be reached; the most by these curves is {most:.2f}x"
        ) from error
    return _plan(graph, chosen, {name: f"divergence {option.loss:.3g}" for name, option in chosen.items()})


def uniform_plan(graph: Graph, family: str, ratio: float, counted: str = "params") -> Plan:
    """The plan with the same fraction of zeros in every layer; see `make_allocated_plan`."""
    layers, macs = prunable(graph), macs_of_uses(graph.layers)
    fixed = _total(graph, counted) - sum(dense_option(layer, counted, macs[layer.name]).left for layer in layers)
    chosen = uniform(layers, parse_family(family), _budget(graph, ratio, counted) - fixed, counted, macs)
    return _plan(graph, chosen, dict.fromkeys(chosen, "as every layer"))


def _total(graph: Graph, counted: str) -> int:
    return graph.params if counted == "params" else graph.macs


def _budget(graph: Graph, ratio: float, counted: str) -> int:
    if not (ratio >= 1 and math.isfinite(ratio)):
        raise UsageError(f"a ratio is dense / left, 1 or more, got {ratio:g}")
    return math.floor(_total(graph, counted) / ratio)


def _plan(graph: Graph, chosen: Mapping[str, PruningOption], reasons: Mapping[str, str]) -> Plan:
    sparsities = {name: option.sparsity for name, option in chosen.items() if option.sparsity is not None}
    return Plan.of(graph.name, graph.layers, sparsities, {name: reasons[name] for name in sparsities})


def parse_ratio(text: str) -> float:
    """ "1.8x" or "1.8" -> 1.8; for argparse's `type`, whose errors it raises."""
    return real(1)(text.strip().removesuffix("x"))


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.allocate", "Plan how many zeros each layer gets, by what they cost the outputs.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument(
        "--sensitivity",
        type=Path,
        metavar="FILE",
        help="of models.sensitivity (default: all layers get the same zeros)",
    )
    parser.add_argument(
        "--ratio", type=parse_ratio, required=True, help="dense / left of what --counted says, such as 1.8x"
    )
    parser.add_argument("--counted", choices=COUNTED, default="params", help="what --ratio counts")
    parser.add_argument("--family", help="family of sparsities, such as columns:4x1 (default: any of the file)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="plan to write (.json)")
    parser.add_argument("--force", action="store_true", help="replace the plan")
    return parser


def main(arguments: argparse.Namespace) -> int:
    inputs = {"--model": model_files(arguments.model), "--sensitivity": arguments.sensitivity}
    check_outputs({"-o": arguments.out}, inputs, force=arguments.force)
    if not (arguments.sensitivity or arguments.family):
        raise UsageError("give --sensitivity FILE, or --family such as columns:4x1 for the same zeros in every layer")
    families: dict[str, Curves] = {}
    if arguments.sensitivity:
        families = read_divergence(arguments.sensitivity, arguments.model, arguments.family)
    from models.frontend.trace import trace
    from models.resolve import create_model, model_spec

    spec = model_spec(arguments.model)
    graph = trace(create_model(arguments.model), spec.input_shape(), arguments.model)
    if families:
        plan = make_allocated_plan(graph, families, arguments.ratio, arguments.counted)
    else:
        plan = uniform_plan(graph, arguments.family, arguments.ratio, arguments.counted)
    plan.save(arguments.out, force=arguments.force)
    if arguments.json:
        cli.print_json({"plan": str(arguments.out), **_counts(graph, plan)})
    else:
        print(explain(plan, graph.layers))
        print(f"\n{arguments.out}")
    return 0


def _counts(graph: Graph, plan: Plan) -> dict[str, int]:
    return {
        "params": graph.params,
        "params_left": graph.params - plan.removed_weights(graph.layers),
        "macs": graph.macs,
        "macs_left": graph.macs - plan.removed_macs(graph.layers),
    }


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
