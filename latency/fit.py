"""Fit a predictor of layer latencies to measurements of one device: `python -m latency.fit`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import check_writable
from fleetpose.progress import status
from latency.cost_model.fitting import FitOptions, Fitted, fit_predictor
from latency.cost_model.metrics import scores
from latency.cost_model.model import measured
from latency.cost_model.predictor import Predictor
from latency.cost_model.search import CrossValidation
from latency.cost_model.transfer import Gain, gain, load_bases
from latency.dataset.observations import (
    CLOCKS,
    data_hash,
    device_of,
    hardware_of,
    parse_where,
    read_samples,
    reference_of,
)
from latency.dataset.split import SPLITS
from latency.evaluation.plots import plot_fit
from latency.network_model.measured_networks import MeasuredNetwork, account, calibrated, network_records


def fit(
    data: Sequence[Path | str],
    options: FitOptions,
    where: Sequence[str] = (),
    base: Sequence[Path | str] = (),
    clock: str = "auto",
    every_op: bool = False,
) -> tuple[Fitted, Gain | None, list[MeasuredNetwork]]:
    """Fit to files of measurements.

    Args:
        data: JSONL of our records, or CSV tables.
        where: COLUMN=VALUE texts that rows must meet; several of one column: any of them.
        base: predictors of other devices to adapt.
        clock: one of latency.dataset.observations.CLOCKS.
        every_op: of CSV tables, not only convolutions.

    Returns:
        The predictor with its cross-validation, what the bases were worth, and the measured networks that it is
        calibrated on.

    Raises:
        UsageError: files that are missing, damaged or empty, and too few rows.
    """
    bases = load_bases(base)
    reference_ms = reference_of(data)
    samples = read_samples(data, parse_where(where), clock, every_op, reference_ms)
    about = {
        **device_of(samples, data),
        "data": data_hash(data),
        "where": list(where),
        "clock": clock,
        "reference_ms": reference_ms,
        "bases": [each.metadata.get("device", "") for each in bases],
    }
    fitted = fit_predictor(samples, hardware_of(samples), options, bases, about)
    worth = gain(fitted, bases) if bases else None
    networks, layers = network_records(data, parse_where(where), reference_ms)
    if not networks:
        return fitted, worth, []
    from latency.network_model.calibration_data import measured_networks  # which takes torch and TVM

    measured_whole = measured_networks(networks, layers, fitted.predictor, best_of(fitted), clock)
    predictor = replace(fitted.predictor, calibration=calibrated(measured_whole))
    return replace(fitted, predictor=predictor), worth, measured_whole


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.fit", "Fit a predictor of layer latencies to measurements of one device.")
    add_data_flags(parser)
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="predictor to write; FILE.png is its plot"
    )
    parser.add_argument("--force", action="store_true", help="replace the predictor and its plot")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="what cross-validation holds out; families, networks or shapes, as the data has them, without",
    )
    return parser


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that fitting and evaluating share."""
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="FILE", help="measurements: JSONL of latency.collect, or CSV"
    )
    parser.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="COLUMN=VALUE",
        help="rows to take; several values of one column: any of them",
    )  # fmt: skip
    parser.add_argument(
        "--clock", choices=CLOCKS, default="auto", help="of our records; auto: events where there are any"
    )
    parser.add_argument("--every-op", action="store_true", help="of CSV tables, take pools, joins and so on too")
    parser.add_argument("--monotone", action="store_true", help="hold what trees add to rise with work and traffic")
    parser.add_argument(
        "--base", nargs="+", default=[], metavar="FILE", help="predictors of other devices to adapt to this one"
    )
    parser.add_argument(
        "--no-search", dest="search", action="store_false", help="search only for the number of trees: faster"
    )
    parser.add_argument("--seed", type=int, default=0, help="of folds and trees")


def options_of(arguments: argparse.Namespace) -> FitOptions:
    """The options that the flags say. Raises UsageError for a negative seed."""
    if arguments.seed < 0:
        raise UsageError(f"--seed {arguments.seed}: a seed is 0 or more")
    return FitOptions(arguments.monotone, arguments.seed, arguments.split or "", arguments.search)


def main(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    picture = picture_of(out)
    check_writable(out, picture, force=arguments.force)
    with status("fitting") as progress:
        progress("reading, then trying settings on held-out groups")
        fitted, worth, networks = fit(
            arguments.data, options_of(arguments), arguments.where, arguments.base, arguments.clock, arguments.every_op
        )
    save_fitted(fitted, out, force=arguments.force)
    if arguments.json:
        cli.print_json(summary(fitted, worth, networks, out, picture))
    else:
        print_summary(fitted, worth, networks, out, picture)
    return 0


def picture_of(out: Path) -> Path:
    """The plot beside a predictor."""
    return out.with_name(out.name + ".png")


def save_fitted(fitted: Fitted, out: Path, *, force: bool = False) -> None:
    """Write a predictor, and its held-out predictions as a plot beside it. Raises UsageError for existing files."""
    predictor, found = fitted.predictor, best_of(fitted)
    kernels, about = [sample.kernel for sample in found.samples], predictor.metadata
    predictor.save(out, force=force)
    title = f"{about['gpu'] or about['device']}, {about['framework']}: {found.split} held out"
    plot_fit(
        picture_of(out), measured(found.samples), found.predicted, kernels, title,
        predictor.conformal.level, predictor.conformal.factors(kernels), force=force,
    )  # fmt: skip


def best_of(fitted: Fitted) -> CrossValidation:
    """The cross-validation of what the predictor is: with bases, or from scratch."""
    return fitted.found if fitted.predictor.bases or fitted.scratch is None else fitted.scratch


def by_class(found: CrossValidation) -> dict[str, dict[str, Any]]:
    """Scores of held-out samples by class of kernel, the most frequent first, and of all under "all"."""
    names = np.array([sample.kernel for sample in found.samples], object)
    times, rows = measured(found.samples), {}
    for name in sorted(set(names), key=lambda name: -int((names == name).sum())):
        own = names == name
        rows[str(name)] = {"n": int(own.sum()), **scores(times[own], found.predicted[own])}
    return {**rows, "all": {"n": len(names), **scores(times, found.predicted)}}


def summary(
    fitted: Fitted, worth: Gain | None, networks: Sequence[MeasuredNetwork], out: Path, picture: Path
) -> dict[str, Any]:
    """What was fitted, as one JSON object."""
    predictor, found = fitted.predictor, best_of(fitted)
    rest = {name: value for name, value in predictor.metadata.items() if name != "shapes"}
    return {
        "predictor": str(out),
        "plot": str(picture),
        **rest,
        "shapes": len(predictor.shapes),
        "classes": by_class(found),
        "interval": {
            "level": predictor.conformal.level,
            "half_width": _half_width(fitted),
            "rows": predictor.conformal.rows,
        },
        "transfer": vars(worth) if worth else None,
        "calibration": _calibration_of(predictor, networks),
    }


def _calibration_of(predictor: Predictor, networks: Sequence[MeasuredNetwork]) -> dict[str, Any] | None:
    """The calibration on whole networks as JSON; None where none was measured."""
    found = predictor.calibration
    return None if found is None else {**found.to_json(), "networks": account(networks, found)}


def _half_width(fitted: Fitted) -> float | None:
    """The median interval, as a share of the prediction upwards; None where intervals are unbounded."""
    kernels = [sample.kernel for sample in best_of(fitted).samples]
    width = float(np.median(fitted.predictor.conformal.factors(kernels))) - 1
    return width if np.isfinite(width) else None


def print_summary(
    fitted: Fitted, worth: Gain | None, networks: Sequence[MeasuredNetwork], out: Path, picture: Path
) -> None:
    """The same for people."""
    predictor, found = fitted.predictor, best_of(fitted)
    table = [
        [name, row["n"], f"{row['mape']:.1%}", f"{row['within_10']:.0%}", f"{row['median_ape']:.1%}"]
        for name, row in by_class(found).items()
    ]
    cli.print_table(["kernel", "n", "MAPE", "within 10 %", "median"], table)
    settings, about, width = found.settings, predictor.metadata, _half_width(fitted)
    print(
        f"errors are of held-out samples, by {found.split}; {about['rows']} rows, {len(predictor.shapes)} shapes fitted"
    )
    print(f"trees: depth {settings.depth}, {settings.rounds} rounds, {settings.bags} bags")
    print(
        f"{predictor.conformal.level:.0%} intervals: "
        + (f"±{width:.0%} at the median" if width is not None else "unbounded, too few rows")
    )
    if worth:
        print(worth)
    _print_calibration(predictor, networks)
    print(f"{out}; {picture}")


def _print_calibration(predictor: Predictor, networks: Sequence[MeasuredNetwork]) -> None:
    if predictor.calibration is None:
        print("whole networks are plain sums: the data has none to calibrate on (latency.collect --networks)")
        return
    rows = []
    for row in account(networks, predictor.calibration):
        held_out = f"{row['held_out_error']:+.1%}" if "held_out_error" in row else "-"
        times = [f"{row[name]:.2f}" for name in ("measured_ms", "sum_ms", "calibrated_ms")]
        rows.append([row["network"], *times, f"{row['error']:+.1%}", held_out, f"{row['layers_measured']:.0%}"])
    print()
    cli.print_table(["network", "measured ms", "sum of layers", "calibrated", "error", "held out", "measured"], rows)
    print(f"whole network = {predictor.calibration}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
