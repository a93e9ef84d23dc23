"""Pairs: rows of the same layer on the same device that differ in sparsity or kernel, which a decision is between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from latency.dataset.sample import Sample
from models.plans.sparsity import variant_text


@dataclass(frozen=True)
class KernelPair:
    """Two ways to compute one layer.

    Attributes:
        first, second: rows; the first is dense.
        layer: which layer it is, a number; pairs of one layer err alike.
    """

    first: int
    second: int
    layer: int


def rows_by_layer(samples: Sequence[Sample]) -> list[list[int]]:
    """Rows of the same layer, epilogue, dtype and device, whatever their sparsity and kernel."""
    by_layer: dict[tuple, list[int]] = {}
    for row, sample in enumerate(samples):
        steps = tuple(step.kind for step in sample.layer.epilogue)
        identity = (sample.shape_key, steps, sample.dtype, sample.widened, sample.device)
        by_layer.setdefault(identity, []).append(row)
    return list(by_layer.values())


def rows_by_variant(samples: Sequence[Sample], rows: Sequence[int]) -> dict[str, list[int]]:
    """Rows of one layer by their sparsity: "dense" or its text."""
    variants: dict[str, list[int]] = {}
    for row in rows:
        variants.setdefault(variant_text(samples[row].sparsity), []).append(row)
    return variants


def kernel_pairs(samples: Sequence[Sample]) -> list[KernelPair]:
    """Every two ways to compute a layer that a decision may be between: its dense kernels, of different classes, and
    each of them with each sparse one. Of one class and sparsity the fastest row counts.

    Args:
        samples: with measured times.
    """
    pairs = []
    for layer, rows in enumerate(rows_by_layer(samples)):
        fastest = _fastest(samples, rows)
        dense = sorted((row for row in fastest if samples[row].sparsity is None), key=lambda row: samples[row].kernel)
        sparse = [row for row in fastest if samples[row].sparsity is not None]
        pairs += [KernelPair(first, second, layer) for first, second in combinations(dense, 2)]
        pairs += [KernelPair(first, second, layer) for first in dense for second in sparse]
    return pairs


def _fastest(samples: Sequence[Sample], rows: Sequence[int]) -> list[int]:
    """Of each sparsity and class of kernel the fastest row."""
    best: dict[tuple[str, str], int] = {}
    for row in rows:
        key = variant_text(samples[row].sparsity), samples[row].kernel
        if key not in best or measured(samples[row]) < measured(samples[best[key]]):
            best[key] = row
    return list(best.values())


def measured(sample: Sample) -> float:
    """Milliseconds of a sample that was timed."""
    assert sample.ms is not None
    return sample.ms
