"""Decide, layer by layer, whether and how far to prune a network for a device: `python -m latency.decide`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codegen.lowering.hosts import add_target_host, host_for
from codegen.tuning.database import tuned_for
from devices import open_device
from devices.session import Session
from devices.timing.measure import device_of
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import check_writable
from fleetpose.progress import status
from latency.cost_model.predictor import Predictor
from latency.network_model.forecast import Forecaster, profile_of
from latency.planning.assignment import Option
from latency.planning.explain_plan import plan_of
from latency.planning.losses import Losses, read_losses
from latency.planning.measure_uncertain import check_device, confirm, sentences, with_measured_whole
from latency.planning.options import MILD_BLOCK, Goal, Network, choose, network_of
from latency.planning.refine import Stand, tried
from latency.predict import add_network_flags, traced
from latency.profiling.interleaved_run import RunSettings
from models.graph.network import Graph
from models.plans.explain import explain
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity, parse_variant
from models.zoo.resolve import model_spec

#: without a goal every layer is decided for itself
ANY_GAIN = Goal()

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measuring:
    """How what the predictor leaves open is timed before it is decided.

    Attributes:
        session: an open session of the predictor's device; see `latency.planning.measure_uncertain.check_device`.
        settings: of every run, and the processor that serves the device.
        budget_secs: no layer is begun later than this; None: no end. Whole networks are timed whatever the time.
    """

    session: Session
    settings: RunSettings = field(default_factory=RunSettings)
    budget_secs: float | None = None


def decide(
    graph: Graph,
    forecaster: Forecaster,
    goal: Goal = ANY_GAIN,
    sparsities: list[Sparsity] | None = None,
    sensitivity: Path | None = None,
    margin: float = 0.0,
    measuring: Measuring | None = None,
    report: Report = lambda message, done, total: None,
) -> Plan:
    """The plan of a network by a predictor's times, and by measured ones where those leave it open.

    Args:
        graph: of a registered model.
        forecaster: a predictor of the device's kernels.
        goal: what is to be reached.
        sparsities: that layers may have; a default set without.
        sensitivity: file of losses; a rule without.
        margin: share of the dense time that a gain has to exceed, interval included.
        measuring: how what is open is timed; None: it stays predicted.
        report: told what is being done.

    Raises:
        UsageError: a goal out of reach, or a sensitivity file that is none.
        DeviceUnreachable: the device is gone.
    """
    report("predicting", 0, 0)
    network = options(graph, forecaster, sparsities, sensitivity)
    notes: list[str] = []
    if measuring is not None:
        network, notes = _measured(network, forecaster, goal, measuring, report)

    def plan_of(network: Network) -> Plan:
        report("choosing", 0, 0)
        return planned(network, goal, sensitivity, margin, notes)

    if measuring is None or network.whole is None:
        return plan_of(network)
    recipe = replace(forecaster.recipe, host=measuring.settings.host)
    stand = Stand(measuring.session, graph, recipe, measuring.settings, forecaster.dtype, report)
    return tried(network, goal, plan_of, stand.time)


def options(
    graph: Graph, forecaster: Forecaster, sparsities: list[Sparsity] | None, sensitivity: Path | None
) -> Network:
    """The network's options, predicted; arguments as of `decide`."""
    table = model_spec(graph.name).blocks
    convolutions = [layer for layer in graph.layers if layer.op == "conv"]
    losses = read_losses(sensitivity, graph.name, convolutions, table) if sensitivity else Losses(convolutions, table)
    return network_of(graph, table, forecaster, losses, sparsities or (), mild=sensitivity is None)


def planned(
    network: Network,
    goal: Goal,
    sensitivity: Path | None = None,
    margin: float = 0.0,
    notes: Sequence[str] = (),
) -> Plan:
    """The plan that a goal makes of a network's options; arguments as of `decide`, and further notes for people."""
    chosen = choose(network, goal, margin)
    return plan_of(network.graph.name, network, chosen, goal, margin, [_losses_text(chosen, sensitivity), *notes])


def _losses_text(chosen: list[Option], sensitivity: Path | None) -> str:
    loss = sum(option.loss for option in chosen)
    if sensitivity is not None:
        return f"loss {loss:.4g} by {sensitivity.name}, where it has curves"
    return (
        f"loss {loss:.4g} by the rule of latency.planning.losses (zeros / kept, dearer by block), "
        f"for want of --sensitivity; "
        f"for the same reason the {MILD_BLOCK} has its mildest zeros only"
    )


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.decide", "Decide, layer by layer, whether and how far to prune a network.")
    add_network_flags(parser)
    goals = parser.add_mutually_exclusive_group()
    goals.add_argument("--target-ms", type=float, metavar="T", help="of the whole network, at the least loss")
    goals.add_argument("--speedup", type=float, metavar="X", help="dense time / planned time, at the least loss")
    goals.add_argument("--max-loss", type=float, metavar="L", help="least time within this loss of all layers together")
    parser.add_argument("--sensitivity", type=Path, metavar="FILE", help="what zeros cost in accuracy; a rule without")
    parser.add_argument("--margin", type=float, default=0.0, metavar="SHARE",
                        help="of the dense time that a gain has to exceed, such as 0.05")  # fmt: skip
    parser.add_argument("--sparsity", nargs="+", default=[], metavar="TEXT",
                        help="what layers may have, e.g. columns:0.75:8x1; a default set without")  # fmt: skip
    parser.add_argument(
        "--measure",
        action="store_true",
        help="time what the predictor leaves open, decide, and time the planned network, too, for a goal of time",
    )
    parser.add_argument("--device", help="with --measure: host (without the flag, too), rpc:KEY, or null")
    add_target_host(parser, "with --measure: ")
    parser.add_argument("--rounds", type=int, help="with --measure: samples of each variant (default: 15)")
    parser.add_argument("--budget-secs", type=float, metavar="S", help="with --measure: begin no layer later than this")
    parser.add_argument("--force", action="store_true", help="replace the plan")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="plan to write (.json)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    goal, sparsities = goal_of(arguments), sparsities_of(arguments.sparsity)
    check_measuring(arguments)
    check_writable(arguments.out, force=arguments.force)
    model_spec(arguments.model)
    predictor = Predictor.load(arguments.predictor)
    profile = profile_of(predictor, arguments.profile)
    with status("deciding") as progress, ExitStack() as opened:
        progress("tracing the network")
        graph = traced(arguments.model, arguments.size)
        forecaster = Forecaster(predictor, profile, tuned_for(profile, arguments.tuned).choice, arguments.dtype)
        measuring = None
        if arguments.measure:
            session = opened.enter_context(open_device(arguments.device or "host", profile))
            check_device(predictor, session)
            host = host_for(profile, session.on_this_machine, arguments.host)
            settings = RunSettings(arguments.rounds or RunSettings.rounds, host=host)
            measuring = Measuring(session, settings, arguments.budget_secs)
        plan = decide(
            graph, forecaster, goal, sparsities, arguments.sensitivity, arguments.margin, measuring, progress
        )  # fmt: skip
    plan.save(arguments.out, force=arguments.force)
    if arguments.json:
        cli.print_json(summary(arguments, graph, plan))
    else:
        print(explain(plan, graph.layers))
        print(f"\n{arguments.out}")
    return 0


def _measured(
    network: Network, forecaster: Forecaster, goal: Goal, measuring: Measuring, report: Report
) -> tuple[Network, list[str]]:
    """The network with what was open timed, and what the plan is to say of that."""
    session, settings = measuring.session, measuring.settings
    recipe = replace(forecaster.recipe, host=settings.host, runs_nothing=not session.runs_kernels)
    about = forecaster.predictor.metadata
    clock, pace = about.get("clock", "auto"), about.get("reference_ms")
    found = confirm(network, session, recipe, settings, clock, pace, measuring.budget_secs, report)
    network = found.network
    if session.runs_kernels and (goal.target_ms is not None or goal.speedup is not None):
        report("the whole network, dense", 0, 0)
        network = with_measured_whole(network, session, recipe, settings, forecaster.dtype, pace)
    return network, sentences(found, device_of(session))


def goal_of(arguments: argparse.Namespace) -> Goal:
    """The goal that the flags say. Raises UsageError for values that are none."""
    for name in ("target_ms", "speedup", "max_loss", "margin"):
        value, least = getattr(arguments, name), name in ("max_loss", "margin")
        flag = "--" + name.replace("_", "-")
        if value is not None and not (math.isfinite(value) and (value > 0 or (least and value == 0))):
            raise UsageError(f"{flag} {value:g}: it is a number {'of at least' if least else 'above'} 0")
    if arguments.margin >= 1:
        raise UsageError(f"--margin {arguments.margin:g}: it is a share of the dense time, below 1, such as 0.05")
    return Goal(arguments.target_ms, arguments.speedup, arguments.max_loss)


def check_measuring(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags of --measure without it, and for values that are none."""
    for name in ("device", "host", "rounds", "budget_secs"):
        if getattr(arguments, name) is not None and not arguments.measure:
            raise UsageError(f"--{name.replace('_', '-')} is of --measure, which is not given")
    if arguments.rounds is not None and arguments.rounds < 1:
        raise UsageError(f"--rounds is at least 1, not {arguments.rounds}")


def sparsities_of(texts: list[str]) -> list[Sparsity]:
    """The sparsities of --sparsity, "dense" left out. Raises UsageError for what is none, and where nothing is left."""
    found = [each for text in texts if (each := parse_variant(text)) is not None]
    if texts and not found:
        raise UsageError("--sparsity dense leaves nothing to decide; name sparsities, or none for a default set")
    return found


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
