"""What a predictor is for: whether it takes the decision, sparse or dense, that measurements would have taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latency.dataset.sample import Sample
from models.plans.sparsity import variant_text


def decisions(samples: Sequence[Sample], predicted: np.ndarray) -> dict[str, Any]:
    """Accuracy and regret over every (layer, sparsity) that was measured beside the dense layer.

    A decision is between one sparsity of a layer, in the fastest of its schedules, and its fastest dense one.

    Args:
        samples: with measured times; layers with a single variant do not count.
        predicted: milliseconds (n).

    Returns:
        accuracy: share of decisions that are those of the measurements; regret: time lost by the choices, against the
        best measured ones, / the time of these; n: decisions. None where n is 0.
    """
    right, lost, best = 0, 0.0, 0.0
    pairs = _pairs(samples)
    for dense, sparse in pairs:
        options = [*dense, *sparse]
        chosen = min(options, key=lambda row: predicted[row])
        fastest = min(options, key=lambda row: measured(samples[row]))
        right += (chosen in sparse) == (fastest in sparse)
        lost += measured(samples[chosen]) - measured(samples[fastest])
        best += measured(samples[fastest])
    if not pairs:
        return {"accuracy": None, "regret": None, "n": 0}
    return {"accuracy": right / len(pairs), "regret": lost / best, "n": len(pairs)}


def _pairs(samples: Sequence[Sample]) -> list[tuple[list[int], list[int]]]:
    """(rows of the dense layer, rows of one sparsity), for every layer and sparsity of one device."""
    by_layer: dict[tuple, dict[str, list[int]]] = {}
    for row, sample in enumerate(samples):
        steps = tuple(step.kind for step in sample.layer.epilogue)
        variants = by_layer.setdefault((sample.shape_key, steps, sample.device, sample.dtype), {})
        variants.setdefault(variant_text(sample.sparsity), []).append(row)
    return [
        (variants["dense"], rows)
        for variants in by_layer.values()
        if "dense" in variants
        for text, rows in variants.items()
        if text != "dense"
    ]


def measured(sample: Sample) -> float:
    """Milliseconds of a sample that was timed."""
    assert sample.ms is not None
    return sample.ms
