"""Regret: how much slower than the best of a history the best of the first few configurations of an order is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.tuning_logs.histories import History
from benchmarks.tuning_logs.orders import SOURCES, RankedHistory, rank
from fleetpose.progress import Report, no_report
from latency.dataset.sample import Sample

#: configurations that are tried
TRIALS = (1, 5, 10, 24)
#: the regret of no configuration that works, and the most that any counts: ten times as slow again
MOST_REGRET = 10.0
DRAWINGS, RESAMPLINGS, LEVEL = 20, 2000, 0.9


def regrets(ms: np.ndarray, order: Sequence[int] | np.ndarray) -> np.ndarray:
    """Of the first TRIALS of an order, by the milliseconds of all (n), infinite what fails: (len(TRIALS))."""
    times = ms[np.asarray(order)]
    return np.array([min(times[:count].min() / ms.min() - 1, MOST_REGRET) for count in TRIALS])


def replay(
    histories: Sequence[History], winners: Sequence[Sample] = (), seed: int = 0, report: Report = no_report
) -> list[dict[str, Any]]:
    """A row for each order, what it learnt from, and device, "all" of them first.

    Args:
        winners: fastest configurations of layers of any device; none: no order by these.

    Returns:
        Rows with "device", "order", "learnt_from", "histories", "layers", "trials", and for each of the latter
        "median", "mean", and their 90 % intervals "median_interval", "mean_interval" over layers that are resampled.
    """
    results: dict[tuple[str, str], list[tuple[History, np.ndarray]]] = {}
    for history in histories:
        generator = np.random.default_rng(seed)
        drawn = [regrets(history.ms, generator.permutation(len(history.ms))) for _ in range(DRAWINGS)]
        results.setdefault(("at random", ""), []).append((history, np.mean(drawn, 0)))
        results.setdefault(("as they come", ""), []).append((history, regrets(history.ms, range(len(history.ms)))))
    for number, (source, history) in enumerate((source, history) for source in SOURCES for history in histories):
        report(f"{source}: {history.device}", number, len(SOURCES) * len(histories))
        for name, values in _of_ranks(rank(histories, history, winners, source)).items():
            results.setdefault((name, source), []).append((history, values))
    devices = ["all", *dict.fromkeys(history.device for history in histories)]
    return [
        _row(device, name, source, [entry for entry in entries if device in ("all", entry[0].device)], seed)
        for device in devices
        for (name, source), entries in results.items()
        if any(device in ("all", history.device) for history, _ in entries)
    ]


def _of_ranks(ranked: RankedHistory) -> dict[str, np.ndarray]:
    ms = ranked.history.ms
    return {name: regrets(ms, np.argsort(ranks, kind="stable")) for name, ranks in ranked.ranks.items()}


def _row(
    device: str, name: str, source: str, entries: Sequence[tuple[History, np.ndarray]], seed: int
) -> dict[str, Any]:
    values = np.array([value for _, value in entries])
    by_layer: dict[str, list[int]] = {}
    for number, (history, _) in enumerate(entries):
        by_layer.setdefault(history.layer, []).append(number)
    return {
        "device": device, "order": name, "learnt_from": source, "histories": len(entries), "layers": len(by_layer),
        "trials": list(TRIALS), "median": np.median(values, 0).tolist(), "mean": values.mean(0).tolist(),
        **_intervals(values, list(by_layer.values()), seed),
    }  # fmt: skip


def _intervals(values: np.ndarray, layers: Sequence[Sequence[int]], seed: int) -> Mapping[str, list[list[float]]]:
    """Intervals of medians and means of regrets (histories, trials) over layers drawn with repetition."""
    generator = np.random.default_rng(seed)
    medians, means = [], []
    for _ in range(RESAMPLINGS):
        rows = [row for layer in generator.integers(len(layers), size=len(layers)) for row in layers[layer]]
        medians.append(np.median(values[rows], 0))
        means.append(values[rows].mean(0))
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    return {
        "median_interval": np.quantile(medians, tails, axis=0).T.tolist(),
        "mean_interval": np.quantile(means, tails, axis=0).T.tolist(),
    }
