"""Whether a predictor takes the faster kernel where a layer can be computed by several, such as Winograd or direct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latency.dataset.sample import Sample
from latency.evaluation.decision_accuracy import measured
from models.plans.sparsity import variant_text


def kernel_choices(samples: Sequence[Sample], predicted: np.ndarray) -> dict[str, Any]:
    """Accuracy and regret over every layer that was measured under several classes of kernel.

    Args:
        samples: with measured times; layers under one class do not count.
        predicted: milliseconds (n).

    Returns:
        accuracy: share of layers whose fastest kernel is chosen; lost: time lost by the choices, against the fastest
        kernels, / the time of these; always: what taking one class wherever it was measured, and the fastest other
        where not, would lose, by class; n: layers. None and {} where n is 0.
    """
    layers = [rows for rows in _layers(samples) if len({samples[row].kernel for row in rows}) > 1]
    if not layers:
        return {"accuracy": None, "lost": None, "always": {}, "n": 0}
    ms = np.array([measured(sample) for sample in samples])
    fastest = [min(rows, key=lambda row: ms[row]) for rows in layers]
    chosen = [min(rows, key=lambda row: predicted[row]) for rows in layers]
    best = float(ms[fastest].sum())
    classes = sorted({samples[row].kernel for rows in layers for row in rows})
    return {
        "accuracy": float(np.mean([a == b for a, b in zip(chosen, fastest, strict=True)])),
        "lost": float(ms[chosen].sum() / best - 1),
        "always": {name: _always(name, layers, samples, ms) / best - 1 for name in classes},
        "n": len(layers),
    }


def _always(name: str, layers: Sequence[Sequence[int]], samples: Sequence[Sample], ms: np.ndarray) -> float:
    """Milliseconds of all layers by one class wherever it was measured."""
    total = 0.0
    for rows in layers:
        own = [row for row in rows if samples[row].kernel == name] or rows
        total += float(ms[list(own)].min())
    return total


def _layers(samples: Sequence[Sample]) -> list[list[int]]:
    """Rows of the same layer, dtype, sparsity and device."""
    by_layer: dict[tuple, list[int]] = {}
    for row, sample in enumerate(samples):
        steps = tuple(step.kind for step in sample.layer.epilogue)
        variant = variant_text(sample.sparsity)
        identity = (sample.shape_key, steps, variant, sample.dtype, sample.widened, sample.device)
        by_layer.setdefault(identity, []).append(row)
    return list(by_layer.values())
