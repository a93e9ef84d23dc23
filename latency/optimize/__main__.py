"""`python -m latency.optimize`: from a network and a device to a pruned, checked, measured artifact and its report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codegen.lowering.hosts import add_target_host
from fleetpose import cli
from latency.optimize.api import Result, optimize
from latency.optimize.job import PEOPLE
from latency.optimize.request import Request
from latency.planning.options import Goal, read_sparsities
from latency.report.sections.headline import goal_text
from models.resolve import MODEL_HELP

DESCRIPTION = (
    "Make a pose network fast on a device: tune and time its layers there, fit a latency model, decide where zeros "
    "pay, prune, build, check against torch, find people, and compare dense with sparse, interleaved. Everything goes "
    "into one folder; interrupted or killed at any moment, the same command goes on. Another goal in the same folder "
    "decides anew by the same measurements."
)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.optimize", DESCRIPTION)
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="(default: random weights, for times only)")
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input to serve (default: the model's own)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of all that is written")
    parser.add_argument("--force", action="store_true", help="take over a folder of something else")
    _add_device(parser.add_argument_group("the device"))
    _add_goals(parser)
    _add_data(parser.add_argument_group("photographs"))
    _add_effort(parser.add_argument_group("effort"))
    return parser


def _add_device(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", default="host", help="host or rpc:KEY")
    group.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    add_target_host(group)


def _add_goals(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the goal", "without one, every layer is decided for itself")
    goals = group.add_mutually_exclusive_group()
    goals.add_argument("--speedup", type=float, metavar="X", help="dense time / sparse time, at the least loss")
    goals.add_argument("--target-ms", type=float, metavar="T", help="of the whole network, at the least loss")
    goals.add_argument("--max-loss", type=float, metavar="L", help="least time within this loss of all layers together")
    goals.add_argument("--network-plan", type=Path, metavar="FILE", help="take this plan instead of deciding")
    group.add_argument("--sensitivity", type=Path, metavar="FILE", help="what zeros cost in accuracy (default: a rule)")
    group.add_argument("--sparsity", nargs="+", default=[], metavar="TEXT",
                       help="what layers may have, e.g. columns:0.75:8x1 (default: a set for each)")  # fmt: skip


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR",
                       help="to prune and train on (default: none; the smallest weights go)")  # fmt: skip
    group.add_argument("--no-train", dest="train", action="store_false", help="reconstruct layers on --data, no more")
    group.add_argument("--photographs", type=int, default=32, help="of --data that layers are reconstructed on")
    group.add_argument("--val", type=Path, metavar="DIR", help="COCO folder that accuracy is judged on; not of --data")
    group.add_argument("--image", type=Path, metavar="PHOTO", help="with people (default: scikit-image's astronaut)")


def _add_effort(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--budget-minutes", type=float, default=60.0, metavar="N",
                       help="of tuning, timing and training together; other stages take what they take")  # fmt: skip
    group.add_argument("--no-tune", dest="tune", action="store_false", help="take the tuned data there are as they are")
    group.add_argument("--around", type=int, default=40, help="layers like the network's that are timed besides")
    group.add_argument("--rounds", type=int, default=15, help="samples of each variant, and of both networks")
    group.add_argument("--wait-secs", type=float, default=20.0, help="wait so long for a device that has slowed down")
    group.add_argument("--seed", type=int, default=0, help="of all that is drawn")


def request_of(arguments: argparse.Namespace) -> Request:
    """The request that the flags say. Raises UsageError for --sparsity texts that are none."""
    same = ("model", "weights", "size", "sensitivity", "photographs", "val", "image", "host", "around", "rounds",
            "wait_secs",
        "tune", "train", "budget_minutes", "seed")  # fmt: skip
    return Request(
        folder=arguments.out,
        goal=Goal(arguments.target_ms, arguments.speedup, arguments.max_loss),
        plan=arguments.network_plan,
        sparsities=read_sparsities(arguments.sparsity),
        data=tuple(arguments.data),
        **{name: getattr(arguments, name) for name in same},
    )


def main(arguments: argparse.Namespace) -> int:
    request = request_of(arguments)
    result = optimize(None, arguments.device, request, profile=arguments.profile, force=arguments.force)
    if arguments.json:
        cli.print_json({**_files(result), "ok": result.ok, **result.facts})
    else:
        _print(result)
    if not result.ok:
        print("an artifact does not give what torch gives; see verify.json", file=sys.stderr)
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
    said, reached = goal_text(result.facts)
    if result.facts["goal"]:
        print(said + (" A larger --budget-minutes measures and trains more." if reached is False else ""))
    if headline["ap_dense"] is not None and headline["ap_sparse"] is not None:
        change, low_high = headline["ap_sparse"] - headline["ap_dense"], headline["ap_change_interval"]
        within = f" ({low_high[0]:+.3f} to {low_high[1]:+.3f})" if low_high else ""
        print(f"AP {headline['ap_dense']:.3f} to {headline['ap_sparse']:.3f}: {change:+.3f}{within}")
    kept = headline["params_dense"] / headline["params_kept"]
    print(f"{kept:.2f}x fewer parameters, {headline['macs_dense'] / headline['macs_kept']:.2f}x fewer multiply-adds")
    print(f"artifact: {result.artifact}; plan, weights and result.json beside it in {result.folder}")
    if (result.folder / PEOPLE).is_file():
        print(f"picture: {result.folder / PEOPLE}")
    print(f"report: {result.report}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
