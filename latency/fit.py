"""Fit a predictor of layer latencies to measurements of one device: `python -m latency.fit`."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from devices.profile import load_profile
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.options import from_arguments
from fleetpose.outputs import check_outputs
from fleetpose.progress import status
from fleetpose.trust import add_trust_flag
from latency.cost_model.adaptation.transfer import load_bases
from latency.cost_model.calibration import Calibration
from latency.cost_model.fitting import FitOptions, Fitted
from latency.cost_model.metrics import scores
from latency.cost_model.model import measured_ms
from latency.cost_model.search import CrossValidation
from latency.dataset.read import Dataset
from latency.dataset.split import SPLITS
from latency.evaluation.plots import picture_of, save_fitted
from latency.flags import add_data, origin_of
from latency.network_model.calibrated_fit import CalibratedFit, fit_dataset
from latency.network_model.run_calibration import account_of_runs


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.fit", "Fit a predictor of layer latencies to measurements of one device.")
    add_data(parser)
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="predictor to write; FILE.png is its plot"
    )
    parser.add_argument("--force", action="store_true", help="replace the predictor and its plot")
    parser.add_argument("--profile", metavar="FILE", help="the device's, where it is a file of your own")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="what cross-validation holds out (default: families, networks or shapes, as the data has them)",
    )
    add_trust_flag(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    picture, options = picture_of(out), from_arguments(FitOptions, arguments, by=arguments.split or "")
    inputs = {"--data": arguments.data, "--base": arguments.base, "--profile": arguments.profile}
    check_outputs({"-o": out, "its plot": picture}, inputs, force=arguments.force)
    profile = load_profile(arguments.profile) if arguments.profile else None
    with status("fitting") as progress:
        progress("reading, then trying settings on held-out groups")
        dataset, bases = (
            Dataset.read(arguments.data, arguments.where, arguments.configurations, origin_of(arguments)),
            load_bases(arguments.base),
        )
        result = fit_dataset(dataset, options, bases, arguments.clock, arguments.every_op, profile=profile)
    save_fitted(result.fitted, out, force=arguments.force)
    if arguments.json:
        cli.print_json(summary(result, out, picture))
    else:
        print_summary(result, out, picture)
    return 0


def by_class(validation: CrossValidation) -> dict[str, dict[str, Any]]:
    """Scores of held-out samples by class of kernel, the most frequent first, and of all under "all"."""
    names = np.array([sample.kernel for sample in validation.samples], object)
    times, rows = measured_ms(validation.samples), {}
    for name in sorted(set(names), key=lambda name: -int((names == name).sum())):
        own = names == name
        rows[str(name)] = {"n": int(own.sum()), **scores(times[own], validation.predicted[own])}
    return {**rows, "all": {"n": len(names), **scores(times, validation.predicted)}} if rows else {}


def summary(result: CalibratedFit, out: Path, picture: Path) -> dict[str, Any]:
    """What was fitted, as one JSON object."""
    predictor, worth = result.fitted.predictor, result.worth
    metadata = {name: value for name, value in predictor.metadata.items() if name != "shapes"}
    return {
        "predictor": str(out),
        "plot": str(picture) if result.fitted.best.samples else None,
        **metadata,
        "shapes": len(predictor.shapes),
        "classes": by_class(result.fitted.best),
        "interval": {
            "level": predictor.conformal.level,
            "half_width": _half_width(result.fitted),
            "rows": predictor.conformal.rows,
        },
        "transfer": vars(worth) if worth else None,
        "calibration": _calibration_json(result),
    }


def _calibration_json(result: CalibratedFit) -> dict[str, Any] | None:
    """The calibration on whole networks; None where no network was measured."""
    calibration = result.fitted.predictor.calibration
    if calibration is None:
        return None
    return {**encode(calibration), "networks": _account(result, calibration)}


def _account(result: CalibratedFit, calibration: Calibration) -> list[dict[str, float | str]]:
    """What the calibration says of each network it was fitted to."""
    if result.runs:
        return account_of_runs(result.runs, calibration)
    from latency.network_model.calibration_data import account  # which takes torch and TVM

    return account(result.networks, calibration)


def _half_width(fitted: Fitted) -> float | None:
    """The median interval, as a share of the prediction upwards; None where intervals are unbounded."""
    factors = fitted.predictor.factors(fitted.best.samples)
    width = float(np.median(factors)) - 1 if len(factors) else math.inf
    return width if np.isfinite(width) else None


def print_summary(result: CalibratedFit, out: Path, picture: Path) -> None:
    """The same for people."""
    fitted, predictor, validation = result.fitted, result.fitted.predictor, result.fitted.best
    table = [
        [name, row["n"], f"{row['mape']:.1%}", f"{row['within_10']:.0%}", f"{row['median_ape']:.1%}"]
        for name, row in by_class(validation).items()
    ]
    if table:
        cli.print_table(["kernel", "n", "MAPE", "within 10 %", "median"], table)
    settings, about, width = validation.settings, predictor.metadata, _half_width(fitted)
    held_out = f"errors are of held-out samples, by {validation.split}" if table else "no sample to hold out"
    print(f"{held_out}; {about['rows']} rows, {len(predictor.shapes)} shapes fitted")
    if "adapted" in about:
        print(f"the mean of {len(predictor.bases)} other devices' predictors, corrected by {about['adapted']} samples")
    else:
        surface = f", {validation.share:.0%} of the residual by a smooth surface" if validation.share else ""
        print(f"trees: depth {settings.depth}, {settings.rounds} rounds, {settings.bags} bags{surface}")
    print(
        f"{predictor.conformal.level:.0%} intervals: "
        + (f"±{width:.0%} at the median" if width is not None else "unbounded, too few rows")
    )
    if result.worth:
        print(result.worth)
    _print_calibration(result)
    print(f"{out}; {picture}" if validation.samples else str(out))


def _print_calibration(result: CalibratedFit) -> None:
    calibration = result.fitted.predictor.calibration
    if calibration is None:
        print("whole networks are plain sums: the data has none to calibrate on (latency.collect --networks)")
        return
    rows = []
    for row in _account(result, calibration):
        held_out = f"{row['held_out_error']:+.1%}" if "held_out_error" in row else "-"
        times = [f"{row[name]:.2f}" for name in ("measured_ms", "sum_ms", "calibrated_ms")]
        rows.append([row["network"], *times, f"{row['error']:+.1%}", held_out, f"{row['layers_measured']:.0%}"])
    print()
    cli.print_table(["network", "measured ms", "sum of layers", "calibrated", "error", "held out", "measured"], rows)
    print(f"whole network = {calibration}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
