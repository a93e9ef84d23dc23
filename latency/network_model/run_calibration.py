"""Calibration on networks that another tool timed as a whole, beside each of their layers; numbers alone.

Their terms are made of the times that the tool itself gives for all layers of a network, convolutions or not. So no
error on networks held out is known: these times are measured, where a forecast's are predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from latency.cost_model.calibration import Calibration, terms_of
from latency.dataset.foreign.measurement import NetworkRun
from latency.dataset.read import Dataset


def runs_with_layers(dataset: Dataset) -> list[NetworkRun]:
    """The networks in files of other tools that say their layers' times, of files with layers that count."""
    wanted = dataset.wanted
    names = wanted.get("network")
    return [
        run
        for file in dataset.foreign
        if file.passing(wanted)
        for run in file.networks
        if run.kernels_ms and (names is None or run.name in names)
    ]


def run_terms(run: NetworkRun) -> np.ndarray:
    """The terms of one network (TERMS)."""
    return terms_of(np.array(run.kernels_ms), len(run.kernels_ms), run.written)


def calibrate_on_runs(runs: Sequence[NetworkRun]) -> Calibration | None:
    """The calibration of networks; None of no network."""
    if not runs:
        return None
    names = [run.name for run in runs]
    terms, ms = np.array([run_terms(run) for run in runs]), np.array([run.ms for run in runs])
    return replace(Calibration.fit_form(terms, ms, names), networks=tuple(dict.fromkeys(names)))


def account_of_runs(runs: Sequence[NetworkRun], calibration: Calibration) -> list[dict[str, float | str]]:
    """What a calibration says of the networks it was fitted to, as `latency.network_model.calibration_data.account`."""
    rows: list[dict[str, float | str]] = []
    for run in runs:
        terms = run_terms(run)
        predicted = float(calibration.predict(terms[None])[0])
        rows.append(
            {
                "network": run.name,
                "measured_ms": run.ms,
                "sum_ms": float(terms[0]),
                "calibrated_ms": predicted,
                "error": predicted / run.ms - 1,
                "layers_measured": 1.0,
            }
        )
    return rows
