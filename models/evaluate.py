"""`python -m models.evaluate`: OKS average precision of a network on annotated photographs, with its interval.

    python -m models.evaluate --model human_pose_0001 --weights w.safetensors --against dense.safetensors --data d e

Lightweight OpenPose's protocol: single scale, height 368, free width, no flip. With --against, photographs are drawn
for both weight files together, so that what makes a photograph hard cancels in the difference; and it says which
difference photographs so many and so unlike could have shown. Several sets are judged each, and as one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import SEED, SHARE, whole
from fleetpose.progress import Report, status
from fleetpose.trust import add_trust_flag
from models.accuracy.bootstrap import draw_ap, gain
from models.accuracy.matches import SIZES
from models.accuracy.oks import Evaluation, pool
from models.resolve import MODEL_HELP, WEIGHTS_HELP, check_weights_known

#: metrics in the order they are printed, and what they are
METRICS = {
    "ap": "AP, mean over OKS .50:.05:.95",
    "ap_50": "AP at OKS .50",
    "ap_75": "AP at OKS .75",
    "ap_medium": "AP of medium people",
    "ap_large": "AP of large people",
    "ar": "AR, mean over OKS .50:.05:.95",
}
COUNTS = {"photographs": "images", "people": "people"}


@dataclass(frozen=True)
class Drawing:
    """How intervals are drawn: see `bootstrap.draw_ap`."""

    draws: int
    coverage: float
    seed: int


def summary(evaluation: Evaluation, drawing: Drawing) -> dict[str, Any]:
    """JSON-ready metrics, with the bootstrap intervals of AP and of AP by size; None where nobody is annotated."""
    kinds = {"ap": None, **{f"ap_{size}": size for size in SIZES}}
    drawn = {
        name: draw_ap(evaluation, None, drawing.draws, drawing.coverage, drawing.seed, size)
        for name, size in kinds.items()
    }
    intervals = {
        f"{name}_interval": None if interval is None else interval.to_list() for name, interval in drawn.items()
    }
    return {**evaluation.to_dict(), "people": sum(image.truths for image in evaluation.per_image), **intervals}


def compare(evaluation: Evaluation, baseline: Evaluation, drawing: Drawing) -> dict[str, Any]:
    """JSON-ready: `bootstrap.gain` over `baseline`, paired, of all people and by size."""
    options = (drawing.draws, drawing.coverage, drawing.seed)
    by_size = {size: gain(evaluation, baseline, *options, size) for size in SIZES}
    return {**(gain(evaluation, baseline, *options) or {"ap": None, "ap_interval": None, "resolves": None}), **by_size}


def _weights_label(weights: str | None) -> str:
    return Path(weights).name if weights else "its own weights"


def _evaluate(model: str, weights: str | None, sets: Sequence[Path], progress: Report) -> list[Evaluation]:
    """A network's evaluation on each set."""
    from models.accuracy.protocol import evaluate_network
    from models.resolve import create_model, model_spec

    network, spec = create_model(model, weights), model_spec(model)

    def step_of(data: Path) -> Callable[[int, int], None]:
        where = f" of {data.name}" if len(sets) > 1 else ""
        return lambda done, total: progress(f"{_weights_label(weights)}, photographs{where}", done, total)

    return [evaluate_network(network, spec, data, step_of(data)) for data in sets]


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.evaluate", "Judge a network's people on annotated photographs: OKS AP and AR.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument("--weights", metavar="FILE", help=WEIGHTS_HELP)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        metavar="FOLDER",
        help="COCO folders (person_keypoints.json, images/); several are judged each and together",
    )
    parser.add_argument("--against", metavar="FILE", help="other weights to compare with, on the same photographs")
    parser.add_argument("--against-model", metavar="MODEL", help="the network of --against (default: --model)")
    parser.add_argument(
        "--draws", type=whole(10), default=1000, help="how often photographs are drawn for the intervals"
    )
    parser.add_argument("--coverage", type=SHARE, default=0.95, help="probability that an interval holds the truth")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the draws")
    return parser


def _check(arguments: argparse.Namespace) -> None:
    if arguments.against_model and not arguments.against:
        raise UsageError("--against-model needs --against, the weights of that network")


def _check_data(folders: Sequence[Path]) -> None:
    """Raise UsageError for a damaged set before any network runs, not when it is the set's turn."""
    from models.accuracy.protocol import check_annotated

    for folder in folders:
        check_annotated(folder, decode=True)


def main(arguments: argparse.Namespace) -> int:
    _check(arguments)
    check_weights_known(arguments.model, arguments.weights)
    _check_data(arguments.data)
    with status("evaluating") as progress:
        mine = _evaluate(arguments.model, arguments.weights, arguments.data, progress)
        other_model = arguments.against_model or arguments.model
        others = _evaluate(other_model, arguments.against, arguments.data, progress) if arguments.against else []
        progress("drawing intervals")
        result = judge(arguments, mine, others)
    if others:
        result["against"] = {"model": other_model, "weights": arguments.against, **result["against"]}
    if arguments.json:
        cli.print_json(result)
    else:
        _show(result, arguments.coverage)
    return 0


def judge(arguments: argparse.Namespace, mine: list[Evaluation], others: list[Evaluation]) -> dict[str, Any]:
    """JSON-ready: what all sets together say, and of several each for itself ("sets")."""
    drawing = Drawing(arguments.draws, arguments.coverage, arguments.seed)

    def of(evaluation: Evaluation, other: Evaluation | None) -> dict[str, Any]:
        values = summary(evaluation, drawing)
        if other is None:
            return values
        return {**values, "against": summary(other, drawing), "gain": compare(evaluation, other, drawing)}

    whole = of(pool(mine), pool(others) if others else None)
    result = {"model": arguments.model, "weights": arguments.weights, **whole, "coverage": arguments.coverage}
    if len(mine) == 1:
        return result
    sets = [
        {"data": str(data), **of(evaluation, others[number] if others else None)}
        for number, (data, evaluation) in enumerate(zip(arguments.data, mine, strict=True))
    ]
    return {**result, "sets": sets}


def _show(result: dict[str, Any], coverage: float) -> None:
    columns = [result, *([result["against"]] if "against" in result else [])]
    rows = []
    for name, text in METRICS.items():
        rows.append([text, *(_number(column[name]) for column in columns)])
        if f"{name}_interval" in result:
            ranges = (_range(column[f"{name}_interval"]) for column in columns)
            rows.append([f"  {coverage:.0%} interval over photographs", *ranges])
    rows += [[what, *(str(column[key]) for column in columns)] for what, key in COUNTS.items()]
    cli.print_table(("what", *(_weights_label(column["weights"]) for column in columns)), rows)
    if "sets" in result:
        _show_sets(result["sets"])
    if "gain" in result:
        _show_gain(result["gain"], coverage)


def _show_sets(sets: list[dict[str, Any]]) -> None:
    """Each set for itself; the table before it is of all together."""
    head, rows = ["set", "photographs", "people", "AP", "interval"], []
    if "gain" in sets[0]:
        head += ["AP gained", "interval", "resolves"]
    for values in sets:
        row = [Path(values["data"]).name, str(values["images"]), str(values["people"]), _number(values["ap"])]
        row.append(_range(values["ap_interval"]))
        if "gain" in values:
            gained = values["gain"]
            row += [_number(gained["ap"], "+"), _range(gained["ap_interval"], "+"), _number(gained["resolves"])]
        rows.append(row)
    print()
    cli.print_table(head, rows)
    print()


def _show_gain(gained: dict[str, Any], coverage: float) -> None:
    """What was gained over the other weights, of all people and by size, and what could have been seen."""
    for what, values in {"AP": gained, **{f"AP of {size} people": gained[size] for size in SIZES}}.items():
        if values is not None and values["ap"] is not None:
            interval = _range(values["ap_interval"], "+")
            print(f"{what} gained: {_number(values['ap'], '+')}, paired {coverage:.0%} interval {interval}")
    if gained["resolves"] is not None:
        print(
            f"a true difference of {gained['resolves']:.3f} AP or more would show on such photographs in four cases of"
            " five; one of less may not: give more (--data takes several folders)"
        )


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"


def _range(interval: list[float] | None, sign: str = "") -> str:
    return "-" if interval is None else f"{interval[0]:{sign}.3f} to {interval[1]:{sign}.3f}"


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
