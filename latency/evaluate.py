"""How good predictions of layer latencies are on what was held out: `python -m latency.evaluate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import COUNT, from_arguments, whole
from fleetpose.progress import status
from fleetpose.trust import add_trust_flag
from latency.cost_model.adaptation.transfer import load_bases
from latency.cost_model.box.shipped import find_predictor
from latency.cost_model.fitting import FitOptions
from latency.cost_model.predictor import Predictor
from latency.dataset.observations import hardware_of
from latency.dataset.read import Dataset
from latency.dataset.split import SPLITS
from latency.evaluation.held_out import cross_validate, judge, report
from latency.evaluation.new_device import leave_devices_out
from latency.flags import add_data, origin_of
from latency.network_model.foreign_networks import evaluate_networks, read_networks


def evaluate(  # noqa: PLR0913  options with defaults
    dataset: Dataset,
    split: str,
    count: int,
    options: FitOptions,
    judged: Predictor | None = None,
    bases: Sequence[Predictor] = (),
    train_size: int | None = None,
    repeats: int = 1,
    networks: Path | str | None = None,
    clock: str = "auto",
    every_op: bool = False,
) -> dict[str, Any]:
    """Evaluate on measurements; see `latency.network_model.calibrated_fit.fit_dataset` for other arguments.

    Args:
        split, count: what is held out, and in how many folds.
        judged: a saved predictor to judge, on shapes it has not seen, instead of fitting one in each fold.
        bases: predictors of other devices, for transfer.
        train_size, repeats: see `cross_validate`.
        networks: CSV of whole networks' latencies, to be predicted from those of their operators.

    Returns:
        See `latency.evaluation.held_out.report`; with "networks" where these were asked for.

    Raises:
        UsageError: too little to hold anything out.
    """
    pace = judged.metadata.get("reference_ms") if judged else None
    samples = dataset.samples(clock, every_op, pace)
    hardware = hardware_of(samples)
    if judged is not None:
        figures = report(judge(samples, judged, split), options.seed)
    else:
        held = cross_validate(samples, hardware, split, count, options, bases, train_size, repeats)
        figures = report(held, options.seed)
    if networks is not None:
        by = "network" if split == "shape" else split
        operators = dataset.samples(clock, every_op=True)
        measured_networks = read_networks(networks, dataset.wanted)
        figures["networks"] = evaluate_networks(operators, measured_networks, hardware, by, count, options)
    return figures


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser(
        "latency.evaluate",
        "Hold out whole shapes, networks or families, predict their latencies, and compare with the measured ones.",
    )
    add_data(parser)
    parser.add_argument("--split", choices=SPLITS, default="shape", help="what is held out together")
    parser.add_argument("--folds", type=whole(2), default=5, metavar="K", help="parts that are held out in turn")
    parser.add_argument(
        "--predictor", metavar="FILE", help="judge this predictor on shapes it was not fitted on, and fit none"
    )
    parser.add_argument(
        "--train-size", type=COUNT, metavar="N", help="fit on N shapes only, drawn at random in each fold"
    )
    parser.add_argument("--repeats", type=COUNT, default=1, help="how often --train-size shapes are drawn in each fold")
    parser.add_argument(
        "--networks",
        metavar="CSV",
        help="also predict whole networks, whose latencies this table or output of benchncnn has",
    )
    parser.add_argument(
        "--new-device", nargs="+", type=whole(0), metavar="N",
        help="take each device of the data for a new one of which so many samples are timed, and the others for known",
    )  # fmt: skip
    add_trust_flag(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    if arguments.predictor and (arguments.base or arguments.train_size):
        raise UsageError("--predictor fits nothing, so that --base and --train-size mean nothing with it")
    if arguments.networks and (arguments.predictor or arguments.base or arguments.train_size):
        raise UsageError("--networks fits a model of its own; leave --predictor, --base and --train-size out")
    if arguments.new_device:
        return evaluate_new_devices(arguments)
    with status("evaluating") as progress:
        progress(f"fitting {arguments.folds} folds" if not arguments.predictor else "predicting")
        dataset, bases = (
            Dataset.read(arguments.data, arguments.where, arguments.configurations, origin_of(arguments)),
            load_bases(arguments.base),
        )
        figures = evaluate(
            dataset, arguments.split, arguments.folds, from_arguments(FitOptions, arguments, by=arguments.split),
            find_predictor(arguments.predictor) if arguments.predictor else None, bases,
            arguments.train_size, arguments.repeats, arguments.networks, arguments.clock, arguments.every_op,
        )  # fmt: skip
    if arguments.json:
        cli.print_json(figures)
    else:
        print_report(figures, arguments.split)
    return 0


def evaluate_new_devices(arguments: argparse.Namespace) -> int:
    """`--new-device`: how well few samples of a device do where others are known."""
    if arguments.predictor or arguments.base or arguments.train_size or arguments.networks:
        raise UsageError("--new-device fits the other devices itself: no --predictor, --base, --train-size, --networks")
    dataset = Dataset.read(arguments.data, arguments.where, arguments.configurations, origin_of(arguments))
    options = from_arguments(FitOptions, arguments, by="shape")
    with status("evaluating") as progress:
        samples = dataset.samples(arguments.clock, arguments.every_op, several=True)
        figures = leave_devices_out(samples, arguments.new_device, options, progress)
    if arguments.json:
        cli.print_json(figures)
        return 0
    table = [
        [name, row["samples"], *(f"{row[key]:.1%}" for key in ("mape", "random_mape", "coverage"))]
        for name, rows in [*figures["devices"].items(), ("mean of devices", figures["mean"])]
        for row in rows
        if row["mape"] is not None
    ]
    cli.print_table(["new device", "samples", "mape", "drawn at random", "intervals hold"], table)
    return 0


def share(value: float | None) -> str:
    """A share for people."""
    return "-" if value is None else f"{value:.1%}"


def between(bounds: Sequence[float] | None) -> str:
    """The two ends of an interval of shares, for people."""
    return f"{bounds[0]:.1%} to {bounds[1]:.1%}" if bounds else ""


def print_report(figures: dict[str, Any], split: str) -> None:
    """The report for people."""
    names = ("mape", "median_ape", "rmspe", "within_5", "within_10", "interval_coverage")
    rows = [[name, share(figures[name]), between(figures["intervals"].get(name))] for name in names]
    rows += [[name, "-" if figures[name] is None else f"{figures[name]:.4f}", ""] for name in ("spearman", "kendall")]
    rows += [[f"mape of {name}", share(value), ""] for name, value in figures["baselines"].items()]
    rows += _choice_rows(figures)
    if "networks" in figures:
        networks = figures["networks"]
        rows.append(["whole networks, mape", share(networks["mape"]), f"{networks['n']} networks"])
        rows.append(["sums of operators, mape", share(networks["sum_mape"]), ""])
    cli.print_table([f"{figures['n']} held out by {split}", "", "95 % of resampled groups"], rows)
    if figures["decision"]["n"]:
        _print_rules(figures["decision"]["rules"])
    print("\nworst:")
    worst = [
        [
            row["sample"],
            f"{row['measured_ms']:.3f}",
            f"{row['predicted_ms']:.3f}",
            f"{row['error']:+.0%}",
            "; ".join(row["doubts"]),
        ]
        for row in figures["worst"]
    ]
    cli.print_table(["sample", "measured ms", "predicted", "error", "doubts"], worst)


def _choice_rows(figures: dict[str, Any]) -> list[list[str]]:
    """What is chosen by the predictions: sparse or dense, and among kernels."""
    rows = []
    decision, kernels = figures["decision"], figures["kernels"]
    if decision["n"]:
        rows.append(["decision accuracy", share(decision["accuracy"]), f"{decision['n']} decisions"])
        rows.append(["decision regret", share(decision["regret"]), between(decision["regret_interval"])])
        rows.append(["said to be so with", *_calibration_texts(decision["calibration"])])
    if kernels["n"]:
        rows.append(["fastest kernel taken", share(kernels["accuracy"]), f"{kernels['n']} layers"])
        rows.append(["time lost by others", share(kernels["lost"]), between(kernels["lost_interval"])])
        rows += [[f"always {name} loses", share(lost), ""] for name, lost in kernels["always"].items()]
        rows.append(["said to be so with", *_calibration_texts(kernels["calibration"])])
    return rows


def _calibration_texts(calibration: dict[str, Any]) -> tuple[str, str]:
    """Mean probability of what is likelier, and how often that was so."""
    bins = ", ".join(
        f"{row['from']:.0%} to {row['to']:.0%}: {row['right']:.0%} of {row['n']}" for row in calibration["bins"]
    )
    return share(calibration["mean"]), f"right {share(calibration['right'])}, Brier {calibration['brier']:.3f} ({bins})"


def _print_rules(rules: Sequence[dict[str, Any]]) -> None:
    """What sparse or dense would lose if zeros needed other probabilities of being faster."""
    print()
    named = {"intervals": "both intervals, at 95 %"}
    table = [
        [
            named.get(rule["rule"]) or f"{rule['rule']:.0%} or more",
            share(rule["accuracy"]),
            share(rule["regret"]),
            between(rule["regret_interval"]),
            rule["in_vain"],
            rule["missed"],
        ]
        for rule in rules
    ]
    header = ["zeros where they are faster by", "right", "time lost", "95 % of resampled groups", "in vain", "missed"]
    cli.print_table(header, table)


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
