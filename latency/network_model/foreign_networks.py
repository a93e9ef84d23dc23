"""Whole networks of a foreign runtime: how well their latencies follow from those of their operators.

`latency.cost_model.calibration` is judged on networks that neither it nor the operators' predictor has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from fleetpose.errors import UsageError
from latency.cost_model.calibration import Calibration, terms_of
from latency.cost_model.fitting import FitOptions
from latency.cost_model.metrics import scores
from latency.cost_model.model import Inputs, Model, measured_ms
from latency.cost_model.trees import TreeSettings
from latency.dataset.content import read_content
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.ncnn import read_ncnn
from latency.dataset.foreign.recognising import DataFormat
from latency.dataset.hardware import Hardware
from latency.dataset.read import format_of
from latency.dataset.rows import read_rows
from latency.dataset.sample import Sample, merge
from latency.dataset.split import folds, groups_of

COLUMNS = ("framework", "device", "model", "family", "e2e_ms")


@dataclass(frozen=True)
class ForeignNetwork:
    """A measured network: name, family and milliseconds of one inference."""

    name: str
    family: str
    ms: float


def network_terms(samples: Sequence[Sample], ms: np.ndarray) -> np.ndarray:
    """The terms of one network: its operators, each as often as it runs, and their milliseconds."""
    return terms_of(ms, len(samples), float(sum(prod(sample.layer.out_shape) for sample in samples)))


def read_networks(path: Path | str, where: Mapping[str, Sequence[str]]) -> list[ForeignNetwork]:
    """The networks of a CSV table (COLUMNS) that pass those of `where`'s columns that it has, or of benchncnn's output.

    Each network of the latter is a family of its own. Raises UsageError.
    """
    if format_of(Path(path)) is DataFormat.NCNN:
        runs = read_ncnn(read_content(path), str(path), MeasuredOn("any")).networks
        if not runs:
            raise UsageError(f"{path} has no line of a whole network")
        return [ForeignNetwork(run.name, run.name, run.ms) for run in runs]
    rows = read_rows(path, COLUMNS, {})
    known = [name for name in where if name in rows[0].values]
    kept = [row for row in rows if all(row.values[name] in where[name] for name in known)]
    if not kept:
        raise UsageError(f"{path}: no network passes --where")
    return [ForeignNetwork(row.values["model"], row.values["family"], row.ms("e2e_ms")) for row in kept]


def evaluate_networks(
    samples: Sequence[Sample],
    networks: Sequence[ForeignNetwork],
    hardware: Hardware,
    by: str,
    count: int,
    options: FitOptions,
) -> dict[str, float | int | None]:
    """Scores of end-to-end predictions for held-out networks.

    In each fold the operators' model and the calibration are fitted on the other networks only.

    Args:
        samples: every operator of every network, not merged.
        by: "network" or "family".
        count: folds.

    Returns:
        The metrics of `latency.cost_model.metrics.scores`, "n", and "sum_mape": of the predicted sums against the
        measured ones.
    """
    by_name = {network.name: network for network in networks}
    known = [sample for sample in samples if set(sample.networks) & by_name.keys()]
    if not known:
        raise UsageError("no operator is of a network that --networks has; both files name them in the column model")
    truth, guess, sums, summed = [], [], [], []
    for part in folds(known, by, count, options.seed):
        held = {name for sample in known for name in sample.networks if _within(groups_of(sample, by), part.held_out)}
        train = [sample for sample in known if not set(sample.networks) & held]
        rows = merge(train)
        model = Model.fit(
            Inputs.of(rows, hardware), measured_ms(rows), TreeSettings(monotone=options.monotone), options.seed
        )
        fitted = sorted({name for sample in train for name in sample.networks})
        seen = [network_terms(own, measured_ms(own)) for own in _of(train, fitted)]
        calibration = Calibration.fit(np.array(seen), np.array([by_name[name].ms for name in fitted]))
        for name, own in zip(sorted(held), _of(known, sorted(held)), strict=True):
            predicted = model.predict(Inputs.of(own, hardware))
            truth.append(by_name[name].ms)
            guess.append(float(calibration.predict(network_terms(own, predicted)[None])[0]))
            sums.append(float(measured_ms(own).sum()))
            summed.append(float(predicted.sum()))
    ratio = np.array(summed) / np.array(sums)
    return {**scores(np.array(truth), np.array(guess)), "n": len(truth), "sum_mape": float(np.abs(ratio - 1).mean())}


def _within(groups: Sequence[str], held_out: Sequence[str]) -> bool:
    """Whether there are groups, and all of them are held out."""
    return bool(groups) and set(groups) <= set(held_out)


def _of(samples: Sequence[Sample], names: Sequence[str]) -> list[list[Sample]]:
    """The samples of each named network."""
    by_network: dict[str, list[Sample]] = {name: [] for name in names}
    for sample in samples:
        for name in sample.networks:
            if name in by_network:
                by_network[name].append(sample)
    return [by_network[name] for name in names]
