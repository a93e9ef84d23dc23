"""Output divergence: how far a changed network's outputs move from the dense network's; needs no annotations.

The measure is the squared difference from the dense outputs over their variance, mean over outputs; 0 is equal, 1 as
bad as answering each channel's mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: the least variance that is divided by, so that constant dense outputs give a large number and no error
_LEAST = 1e-12


class OutputDivergence:
    """Adds up batches of outputs, which may differ in height and width, to one divergence."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._squares: list[float] = []
        self._sums: list[np.ndarray] = []
        self._counts: list[int] = []

    def add(self, outputs: Sequence[Any], dense: Sequence[Any]) -> None:
        """One batch: every output of both networks, each (N, C, ...), as arrays or as torch tensors on the CPU."""
        if not self._counts:
            channels = [array.shape[1] for array in dense]
            self._errors, self._squares = [0.0] * len(dense), [0.0] * len(dense)
            self._sums, self._counts = [np.zeros(number) for number in channels], [0] * len(dense)
        for index, (array, reference) in enumerate(zip(outputs, dense, strict=True)):
            ours, theirs = np.asarray(array, np.float64), np.asarray(reference, np.float64)
            self._errors[index] += float(np.square(ours - theirs).sum())
            self._squares[index] += float(np.square(theirs).sum())
            self._sums[index] += theirs.sum(axis=(0, *range(2, theirs.ndim)))
            self._counts[index] += theirs.size // theirs.shape[1]

    @property
    def value(self) -> float:
        """The divergence of all batches together; NaN before the first."""
        terms = [
            error / max(square - float(np.square(total).sum()) / count, _LEAST)
            for error, square, total, count in zip(self._errors, self._squares, self._sums, self._counts, strict=True)
        ]
        return float(np.mean(terms)) if terms else float("nan")


def divergence(outputs: Sequence[Any], dense: Sequence[Any]) -> float:
    """The output divergence of one batch of outputs from dense ones, as `OutputDivergence.add` takes them."""
    total = OutputDivergence()
    total.add(outputs, dense)
    return total.value
