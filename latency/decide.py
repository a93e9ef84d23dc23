"""Decide, layer by layer, whether and how far to prune a network for a device: `python -m latency.decide`."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from codegen.lowering.hosts import add_target_host, host_for
from codegen.lowering.sizes import trace_model
from codegen.tuning.database import load_tuned
from devices import open_device
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import COUNT, add_flags, from_arguments, real
from fleetpose.outputs import check_outputs
from fleetpose.progress import status
from latency.cost_model.box.shipped import find_predictor
from latency.flags import add_network, add_sparsities
from latency.network_model.forecast import Forecaster, profile_of
from latency.planning.choosing import Goal
from latency.planning.gains import Caution
from latency.planning.losses import losses_of
from latency.planning.measure_uncertain import check_device
from latency.planning.options import read_sparsities
from latency.planning.planner import Measuring, decide
from latency.profiling.interleaved_run import RunSettings
from models.graph.network import Graph
from models.plans.explain import explain
from models.plans.plan import Plan
from models.resolve import model_files, model_spec


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.decide", "Decide, layer by layer, whether and how far to prune a network.")
    add_network(parser)
    add_flags(parser.add_mutually_exclusive_group(), Goal)
    parser.add_argument(
        "--sensitivity", type=Path, metavar="FILE", help="what zeros cost in accuracy (default: a rule)"
    )
    add_flags(parser, Caution)
    add_sparsities(parser)
    parser.add_argument(
        "--measure",
        action="store_true",
        help="time what the predictor leaves open, decide, and time the planned network, too, for a goal of time",
    )
    parser.add_argument("--device", help="with --measure: host, rpc:KEY, or null (default: host)")
    add_target_host(parser, "with --measure: ")
    parser.add_argument("--rounds", type=COUNT, help="with --measure: samples of each variant (default: 15)")
    parser.add_argument(
        "--budget-secs", type=real(), metavar="S", help="with --measure: begin no layer after so many seconds"
    )
    parser.add_argument("--force", action="store_true", help="replace the plan")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="plan to write (.json)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    goal, sparsities = goal_of(arguments), read_sparsities(arguments.sparsity)
    caution = from_arguments(Caution, arguments)
    check_measuring(arguments)
    inputs = {"--model": model_files(arguments.model), "--predictor": arguments.predictor,
              "--sensitivity": arguments.sensitivity, "--profile": arguments.profile,
              "--tuned": arguments.tuned}  # fmt: skip
    check_outputs({"-o": arguments.out}, inputs, force=arguments.force)
    spec = model_spec(arguments.model)
    predictor = find_predictor(arguments.predictor)
    profile = profile_of(predictor, arguments.profile)
    with status("deciding") as progress, ExitStack() as opened:
        progress("tracing the network")
        graph = trace_model(arguments.model, arguments.size)
        forecaster = Forecaster(predictor, profile, load_tuned(profile, arguments.tuned).choice, arguments.dtype)
        measuring = None
        if arguments.measure:
            session = opened.enter_context(open_device(arguments.device or "host", profile))
            check_device(predictor, session)
            host = host_for(profile, session, arguments.host)
            settings = RunSettings(arguments.rounds or RunSettings.rounds, host=host)
            measuring = Measuring(session, settings, arguments.budget_secs)
        losses = losses_of(graph, spec.blocks, arguments.sensitivity)
        plan = decide(graph, forecaster, losses, goal, sparsities, caution, measuring, progress)
    plan.save(arguments.out, force=arguments.force)
    if arguments.json:
        cli.print_json(summary(arguments, graph, plan))
    else:
        print(explain(plan, graph.layers))
        print(f"\n{arguments.out}")
    return 0


def goal_of(arguments: argparse.Namespace) -> Goal:
    """The goal that the flags say. Raises UsageError for values that are none."""
    goal = from_arguments(Goal, arguments)
    goal.check()
    return goal


def check_measuring(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags of --measure without it, and for values that are none."""
    for name in ("device", "host", "rounds", "budget_secs"):
        if getattr(arguments, name) is not None and not arguments.measure:
            raise UsageError(f"--{name.replace('_', '-')} is of --measure, which is not given")


def summary(arguments: argparse.Namespace, graph: Graph, plan: Plan) -> dict[str, Any]:
    """The JSON object the command prints: the plan, its file, and what is kept."""
    params, macs = sum(layer.params for layer in graph.layers), graph.macs
    return {
        "file": str(arguments.out),
        "plan": plan.to_json(),
        "sparse_layers": len(plan.sparsities),
        "params": params,
        "params_kept": params - plan.removed_weights(graph.layers),
        "macs": macs,
        "macs_kept": macs - plan.removed_macs(graph.layers),
    }


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
