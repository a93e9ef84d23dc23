"""`python -m latency.optimize`: from a network and a device to a pruned, checked, measured artifact and its report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from codegen.lowering.hosts import add_target_host
from devices.timing.cooling import CoolingSettings
from devices.timing.sustained import sustained_text
from fleetpose import cli
from fleetpose.options import add_flags, from_arguments
from fleetpose.terminal import tint, verdict
from fleetpose.trust import add_trust_flag
from latency.flags import add_sparsities
from latency.optimize.api import Result, optimize, optimize_frontier
from latency.optimize.frontier.gathering import suggested, table_rows
from latency.optimize.job import PEOPLE
from latency.optimize.request import Request
from latency.planning.choosing import Goal
from latency.planning.gains import Caution
from latency.planning.options import read_sparsities
from latency.report.sections.agreement import loss_text
from latency.report.sections.headline import goal_text
from models.accuracy.grade import agreement_grade, ap_grade, graded_text
from models.resolve import MODEL_HELP

DESCRIPTION = (
    "Make a pose network fast on a device: tune and time its layers there, fit a latency model, decide where zeros "
    "pay, prune, build, check against torch, find people, and compare dense with sparse, interleaved. Everything goes "
    "into one folder. You can stop it at any time; run the same command again to resume. Another goal in the folder "
    "decides anew by the same measurements."
)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.optimize", DESCRIPTION)
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    add_flags(parser, Request, ("weights", "size", "dtype"))
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of all that is written")
    parser.add_argument("--force", action="store_true", help="take over a folder of something else")
    device = parser.add_argument_group("the device")
    device.add_argument("--device", default="host", help="host or rpc:KEY")
    device.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    add_target_host(device)
    goal = parser.add_argument_group("the goal", "default: every layer is decided for itself")
    goals = goal.add_mutually_exclusive_group()
    add_flags(goals, Goal)
    add_flags(goals, Request, ("plan", "frontier"))
    add_flags(goal, Caution)
    add_flags(goal, Request, ("sensitivity", "sensitivity_minutes"))
    add_sparsities(goal)
    photographs = ("data", "train", "photographs", "reconstruction", "recovery_minutes", "val", "image")
    add_flags(parser.add_argument_group("photographs"), Request, photographs)
    effort = parser.add_argument_group("effort")
    add_flags(effort, Request, ("budget_minutes", "tune", "around", "rounds", "wait_secs", "sustained", "seed"))
    add_flags(effort, CoolingSettings)
    return parser


def main(arguments: argparse.Namespace) -> int:
    request = from_arguments(
        Request, arguments, model=arguments.model, folder=arguments.out, goal=from_arguments(Goal, arguments),
        caution=from_arguments(Caution, arguments), sparsities=read_sparsities(arguments.sparsity),
        host=arguments.host, cooling=from_arguments(CoolingSettings, arguments),
    )  # fmt: skip
    if request.frontier:
        return _run_frontier(arguments, request)
    result = optimize(None, arguments.device, request, profile=arguments.profile, force=arguments.force)
    if arguments.json:
        cli.print_json({**_files(result), "ok": result.ok, **result.facts})
    else:
        _print(result)
    if not result.ok:
        said = "an artifact does not give what torch gives; see verify.json"
        print(verdict(said, False, sys.stderr), file=sys.stderr)
    return 0 if result.ok else 1


def _run_frontier(arguments: argparse.Namespace, request: Request) -> int:
    """Several plans in place of one."""
    result = optimize_frontier(None, arguments.device, request, profile=arguments.profile, force=arguments.force)
    if arguments.json:
        cli.print_json({"folder": str(result.folder), "ok": result.ok, **result.facts})
        return 0 if result.ok else 1
    cli.print_table(("stage", "result"), [(name, said) for name, said, _ in result.stages])
    print()
    header, *rows = table_rows(result.facts, result.points)
    cli.print_table(header, rows)
    print(f"\n{suggested(result.facts, result.points)}")
    print(f"each plan's artifact and report in its folder of {result.folder}; picture: {result.picture}")
    return 0 if result.ok else 1


def _files(result: Result) -> dict[str, str]:
    named = {"folder": result.folder, "artifact": result.artifact, "pruned_weights": result.weights}
    return {name: str(path) for name, path in named.items()}


def _print(result: Result) -> None:
    """The stages, the headline and where everything is, for people."""
    cli.print_table(("stage", "result"), [(name, said) for name, said, _ in result.stages])
    headline, device = result.facts["headline"], result.facts["device"]
    interval = "{:.2f} to {:.2f}".format(*headline["speedup_interval"]) if headline["speedup_interval"] else "unbounded"
    print(
        f"\n{result.facts['model']} on {device['name']}: dense {headline['dense_ms']:.4g} ms, sparse "
        f"{headline['sparse_ms']:.4g} ms; {headline['speedup']:.2f} times as fast, measured ({interval}); "
        f"{headline['predicted_speedup']:.2f} predicted"
    )
    if headline.get("sustained"):
        print(sustained_text(headline["sustained"]))
    print(_agreement_line(headline))
    if lost := loss_text(headline):
        print(lost)
    said, reached = goal_text(result.facts)
    if result.facts["goal"]:
        more = " A larger --budget-minutes measures and trains more." if reached is False else ""
        print(verdict(said + more, reached))
    if headline["ap_dense"] is not None and headline["ap_sparse"] is not None:
        change, low_high = headline["ap_sparse"] - headline["ap_dense"], headline["ap_change_interval"]
        within = f" ({low_high[0]:+.3f} to {low_high[1]:+.3f})" if low_high else ""
        said = f"AP {headline['ap_dense']:.3f} to {headline['ap_sparse']:.3f}: {change:+.3f}{within}"
        level = ap_grade(headline["ap_dense"], headline["ap_sparse"])
        print(tint(said, level.value if level else ""))
    kept = headline["params_dense"] / headline["params_kept"]
    print(f"{kept:.2f}x fewer parameters, {headline['macs_dense'] / headline['macs_kept']:.2f}x fewer multiply-adds")
    print(f"artifact: {result.artifact}; plan, weights and result.json beside it in {result.folder}")
    if (result.folder / PEOPLE).is_file():
        print(f"picture: {result.folder / PEOPLE}")
    print(f"report: {result.report}")


def _agreement_line(headline: dict[str, Any]) -> str:
    """What of the dense network's people is kept, in the colour of its grade."""
    kept = agreement_grade(headline["agreement"])
    return tint(graded_text(headline["agreement"]), kept.value if kept else "")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
