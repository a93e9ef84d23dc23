"""`python -m models.evaluate`: OKS average precision of a network on annotated photographs, with its interval.

    python -m models.evaluate --model human_pose_0001 --weights pruned.safetensors --against dense.safetensors --data d

Lightweight OpenPose's protocol: single scale, height 368, free width, no flip. With --against, photographs are drawn
for both weight files together, so that what makes a photograph hard cancels in the difference.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.progress import Report, status
from models.accuracy.oks import Evaluation, average_precision, bootstrap_ap, evaluate_keypoints
from models.resolve import MODEL_HELP

__all__ = ["Evaluation", "average_precision", "bootstrap_ap", "evaluate_keypoints", "gain", "summary"]

#: metrics in the order they are printed, and what they are
METRICS = {
    "ap": "AP, mean over OKS .50:.05:.95",
    "ap_50": "AP at OKS .50",
    "ap_75": "AP at OKS .75",
    "ap_medium": "AP of medium people",
    "ap_large": "AP of large people",
    "ar": "AR, mean over OKS .50:.05:.95",
}


def summary(evaluation: Evaluation, draws: int, coverage: float, seed: int) -> dict[str, Any]:
    """JSON-ready metrics, with the bootstrap interval of AP; None where nobody is annotated."""
    counted = any(result.truths for result in evaluation.per_image)
    interval = list(bootstrap_ap(evaluation, None, draws, coverage, seed)) if counted else None
    return {**evaluation.to_dict(), "ap_interval": interval}


def gain(evaluation: Evaluation, baseline: Evaluation, draws: int, coverage: float, seed: int) -> dict[str, Any]:
    """JSON-ready: AP gained over `baseline`, and its paired bootstrap interval. Raises UsageError as `bootstrap_ap`."""
    interval = list(bootstrap_ap(evaluation, baseline, draws, coverage, seed))
    return {"ap": (evaluation.ap or 0.0) - (baseline.ap or 0.0), "ap_interval": interval}


def _evaluate(model: str, weights: str, data: Path, progress: Report) -> Evaluation:
    from models.accuracy.protocol import evaluate_network
    from models.resolve import create_model, model_spec

    network = create_model(model, weights)
    return evaluate_network(
        network,
        model_spec(model),
        data,
        lambda done, total: progress(f"{Path(weights).name}, photographs", done, total),
    )


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.evaluate", "Judge a network's people on annotated photographs: OKS AP and AR.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    parser.add_argument("--weights", required=True, help="safetensors or published checkpoint")
    parser.add_argument("--data", type=Path, required=True, help="COCO folder (person_keypoints.json, images/)")
    parser.add_argument("--against", metavar="FILE", help="other weights to compare with, on the same photographs")
    parser.add_argument("--against-model", metavar="MODEL", help="the network of --against (default: --model)")
    parser.add_argument("--draws", type=int, default=1000, help="how often photographs are drawn for the intervals")
    parser.add_argument("--coverage", type=float, default=0.95, help="probability that an interval holds the truth")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws")
    return parser


def _check(arguments: argparse.Namespace) -> None:
    if arguments.against_model and not arguments.against:
        raise UsageError("--against-model needs --against, the weights of that network")
    if not 0 < arguments.coverage < 1:
        raise UsageError(f"--coverage is a fraction between 0 and 1, got {arguments.coverage:g}")
    if arguments.draws < 10:
        raise UsageError(f"--draws must be 10 or more for an interval, got {arguments.draws}")


def main(arguments: argparse.Namespace) -> int:
    _check(arguments)
    drawing = (arguments.draws, arguments.coverage, arguments.seed)
    with status("evaluating") as progress:
        evaluation = _evaluate(arguments.model, arguments.weights, arguments.data, progress)
        other_model = arguments.against_model or arguments.model
        other = _evaluate(other_model, arguments.against, arguments.data, progress) if arguments.against else None
    result: dict[str, Any] = {"model": arguments.model, "weights": arguments.weights}
    result |= summary(evaluation, *drawing) | {"coverage": arguments.coverage}
    if other is not None:
        mine = {"model": other_model, "weights": arguments.against}
        result["against"] = {**mine, **summary(other, *drawing)}
        result["gain"] = gain(evaluation, other, *drawing)
    if arguments.json:
        cli.print_json(result)
    else:
        _show(result, arguments.coverage)
    return 0


def _show(result: dict[str, Any], coverage: float) -> None:
    columns = [result, *([result["against"]] if "against" in result else [])]
    rows = [[text, *(_number(column[name]) for column in columns)] for name, text in METRICS.items()]
    intervals = [_range(column["ap_interval"]) for column in columns]
    rows.insert(1, [f"  {coverage:.0%} interval over photographs", *intervals])
    rows.append(["photographs", *(str(column["images"]) for column in columns)])
    cli.print_table(("what", *(Path(column["weights"]).name for column in columns)), rows)
    if "gain" in result:
        gained = result["gain"]
        print(f"AP gained: {gained['ap']:+.3f}, paired {coverage:.0%} interval {_range(gained['ap_interval'], '+')}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _range(interval: list[float] | None, sign: str = "") -> str:
    return "-" if interval is None else f"{interval[0]:{sign}.3f} to {interval[1]:{sign}.3f}"


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
