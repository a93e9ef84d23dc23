"""How well a device is predicted of which few layers were timed: each device of the data in turn is the new one.

The others' predictors are fitted on all of their samples, whatever layers these are of: that a layer was timed on
another device is what adapting lives on. Of the new device some samples are chosen, by what they would tell or at
random, and all its other layers are predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from fleetpose.progress import Report, no_report
from latency.cost_model.adaptation.adapting import NewDevice, adapt, choose_samples
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.cost_model.metrics import mape
from latency.cost_model.model import measured_ms
from latency.cost_model.predictor import Predictor
from latency.dataset.observations import hardware_of
from latency.dataset.sample import Sample, about_device, merge

#: most samples that are looked at for which to time
CANDIDATES = 400
#: drawings of candidates, over which errors are averaged
DRAWINGS = 3
#: of the device's layers at least so many are left to be predicted
LEAST_LEFT = 30


def leave_devices_out(
    samples: Sequence[Sample], counts: Sequence[int], options: FitOptions, report: Report = no_report
) -> dict[str, Any]:
    """Errors by device and number of samples.

    Args:
        samples: of two devices or more, with times.
        counts: how many samples of the new device there are: 0, 10, 50...

    Returns:
        "devices": name -> rows with "samples", "mape", "random_mape" (the samples drawn at random, not chosen) and
        "coverage" (share of intervals that hold); "mean": the same rows averaged over the devices.

    Raises:
        UsageError: one device.
    """
    by_device: dict[str, list[Sample]] = {}
    for sample in merge(samples):
        by_device.setdefault(f"{sample.device} ({sample.framework})", []).append(sample)
    if len(by_device) < 2:
        raise UsageError("the data is of one device; leaving each of several out needs two at least")
    fitted: dict[str, Predictor] = {}
    for number, (name, rows) in enumerate(by_device.items()):
        report(f"fitting {name}", number, len(by_device))
        fitted[name] = _fit(rows, options)
    figures: dict[str, list[dict[str, Any]]] = {}
    for number, (name, rows) in enumerate(by_device.items()):
        report(f"as new: {name}", number, len(by_device))
        bases = [predictor for other, predictor in fitted.items() if other != name]
        figures[name] = [_row(rows, bases, count, options) for count in counts if count <= len(rows) - LEAST_LEFT]
    return {"devices": figures, "mean": [_mean(figures, count) for count in counts]}


def _fit(rows: Sequence[Sample], options: FitOptions) -> Predictor:
    """A device's own predictor."""
    shapes = replace(options, by="shape", wide=False)
    return fit_predictor(rows, hardware_of(rows), shapes, (), about_device(rows)).predictor


def _row(rows: Sequence[Sample], bases: Sequence[Predictor], count: int, options: FitOptions) -> dict[str, Any]:
    """One device with so many samples."""
    target, scored = NewDevice(hardware_of(rows), rows[0].gpu, about_device(rows)), []
    for drawing in range(DRAWINGS if count else 1):
        order = np.random.default_rng(options.seed + drawing).permutation(len(rows))
        candidates = [rows[at] for at in order[: min(CANDIDATES, len(rows) - LEAST_LEFT)]]
        chosen = choose_samples(candidates, count, target, bases) if count else []
        for picked in ([candidates[at] for at in chosen], candidates[:count]):
            scored.append(_score(rows, picked, target, bases, options))
    chosen_scores, random_scores = scored[::2], scored[1::2]
    return {
        "samples": count,
        "mape": float(np.mean([score["mape"] for score in chosen_scores])),
        "random_mape": float(np.mean([score["mape"] for score in random_scores])),
        "coverage": float(np.mean([score["coverage"] for score in chosen_scores])),
    }


def _score(
    rows: Sequence[Sample], picked: Sequence[Sample], target: NewDevice, bases: Sequence[Predictor], options: FitOptions
) -> Mapping[str, float]:
    """Error and coverage of all samples that were not picked."""
    taken = {sample.key for sample in picked}
    rest = [sample for sample in rows if sample.key not in taken]
    predictor, _ = adapt(picked, target, bases, options.level, options.seed)
    times, predictions = measured_ms(rest), predictor.predict(rest)
    held = [prediction.low <= ms <= prediction.high for prediction, ms in zip(predictions, times, strict=True)]
    predicted = np.array([prediction.ms for prediction in predictions])
    return {"mape": mape(times, predicted), "coverage": float(np.mean(held))}


def _mean(figures: Mapping[str, Sequence[Mapping[str, Any]]], count: int) -> dict[str, Any]:
    rows = [row for rows in figures.values() for row in rows if row["samples"] == count]
    names = ("mape", "random_mape", "coverage")
    return {"samples": count, "devices": len(rows), **{name: _average([row[name] for row in rows]) for name in names}}


def _average(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
