"""Whether a predictor takes the faster kernel where a layer can be computed by several, such as Winograd or direct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latency.cost_model.metrics import bootstrap_ratio
from latency.dataset.pairs import measured, rows_by_layer, rows_by_variant
from latency.dataset.sample import Sample
from latency.evaluation.odds import Judged, calibration


def kernel_choices(judged: Judged, seed: int = 0) -> dict[str, Any]:
    """Accuracy and regret over every layer that was measured under several classes of kernel.

    Args:
        judged: layers under one class do not count.
        seed: of the bootstrap.

    Returns:
        accuracy: share of layers whose fastest kernel is chosen; lost: time lost by the choices, against the fastest
        kernels, / the time of these; lost_interval: where that lies in 95 % of resampled groups; always: what taking
        one class wherever it was measured, and the fastest other where not, would lose, by class; calibration: of the
        probability that the chosen kernel is faster than the next class's, see `latency.evaluation.odds.calibration`;
        n: layers. None and {} where n is 0.
    """
    samples = judged.samples
    layers = [rows for rows in _layers(samples) if len({samples[row].kernel for row in rows}) > 1]
    if not layers:
        return {"accuracy": None, "lost": None, "lost_interval": None, "always": {}, "calibration": None, "n": 0}
    ms = np.array([measured(sample) for sample in samples])
    fastest = [min(rows, key=lambda row: ms[row]) for rows in layers]
    chosen = [judged.fastest(_by_class(judged, rows))[0] for rows in layers]
    nexts = [_next(judged, rows, row) for rows, row in zip(layers, chosen, strict=True)]
    odds = np.array([judged.odds(row, other) for row, other in zip(chosen, nexts, strict=True)])
    best, classes = ms[fastest], sorted({samples[row].kernel for rows in layers for row in rows})
    return {
        "accuracy": float(np.mean([a == b for a, b in zip(chosen, fastest, strict=True)])),
        "lost": float(ms[chosen].sum() / best.sum() - 1),
        "lost_interval": bootstrap_ratio(ms[chosen] - best, best, [judged.groups[row] for row in chosen], seed),
        "always": {name: _always(name, layers, samples, ms) / float(best.sum()) - 1 for name in classes},
        "calibration": calibration(odds, ms[chosen] < ms[nexts]),
        "n": len(layers),
    }


def _by_class(judged: Judged, rows: Sequence[int]) -> list[int]:
    """Of each class of kernel the row that is predicted to be the fastest."""
    best: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: judged.predictions[row].ms):
        best.setdefault(judged.samples[row].kernel, row)
    return list(best.values())


def _next(judged: Judged, rows: Sequence[int], chosen: int) -> int:
    """Of the other classes the row that is likeliest to be the fastest."""
    others = [row for row in _by_class(judged, rows) if judged.samples[row].kernel != judged.samples[chosen].kernel]
    return judged.fastest(others)[0]


def _always(name: str, layers: Sequence[Sequence[int]], samples: Sequence[Sample], ms: np.ndarray) -> float:
    """Milliseconds of all layers by one class wherever it was measured."""
    total = 0.0
    for rows in layers:
        own = [row for row in rows if samples[row].kernel == name] or rows
        total += float(ms[list(own)].min())
    return total


def _layers(samples: Sequence[Sample]) -> list[list[int]]:
    """Rows of the same layer, dtype, sparsity and device."""
    return [same for rows in rows_by_layer(samples) for same in rows_by_variant(samples, rows).values()]
