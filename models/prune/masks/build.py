"""Masks: the weights of one layer that a sparsity keeps, chosen by magnitude at one go; NumPy alone.

It is also the projection of ADMM pruning (YOLObile, Cai et al. 2021; PatDNN, Niu et al. 2020): of all weights that
follow the sparsity, weight * mask is nearest to the weight (columns; kernel patterns, once these are chosen).
A score other than magnitude (such as magnitude x the norm of the input) comes in as an array in the weight's place.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fleetpose.errors import UsageError
from models.plans.sparsity import PATTERN_ENTRIES, Sparsity, WeightShape

_CENTRE = 4  # of a 3x3 kernel read row by row

#: the 56 patterns of a 3x3 kernel: the centre and three more entries, ascending
CANDIDATES = np.array(
    sorted(sorted((_CENTRE, *others)) for others in combinations((0, 1, 2, 3, 5, 6, 7, 8), PATTERN_ENTRIES - 1))
)


def mask(weight: np.ndarray, sparsity: Sparsity) -> np.ndarray:
    """Which entries of `weight` the sparsity keeps.

    A unit's score is the sum over its channels (and kernel positions) of the L2 norm over its filters, smaller blocks
    at the end scaled up to a full one; the best `sparsity.kept_units` stay, equal ones in the order of the weight.

    Args:
        weight: (out, in / groups, kernel height, kernel width); blocks of filters divide the groups'.

    Returns:
        bool, of the weight's shape.

    Raises:
        UsageError: not such a weight, numbers that are not finite, or kernel patterns for other kernels than 3x3.
    """
    if weight.ndim != 4 or not weight.size:
        raise UsageError(f"a weight is (out, in, height, width), not {weight.shape}")
    if not np.isfinite(weight).all():
        raise UsageError("a weight that is not finite has no magnitude to prune by")
    weight = weight.astype(np.float64)
    if sparsity.pattern == "pattern":
        return _pattern_mask(weight, sparsity)
    kept = _best(unit_scores(weight, sparsity), sparsity, weight.shape)
    return spread(kept, sparsity, weight.shape)


def unit_scores(weight: np.ndarray, sparsity: Sparsity) -> np.ndarray:
    """The score of every unit of a weight, (filter groups, channel blocks, positions); not for "pattern".

    positions is 1 under "connectivity", else kernel height x width. Scores are per weight (a mean, not a sum): else the
    smaller blocks at the end would always be the ones to go, and the zeros reached would fall short.
    """
    out, channels, height, width = weight.shape
    flat = np.asarray(weight, np.float64).reshape(out, channels, height * width)
    norms = np.sqrt(_block_means(flat**2, 0, sparsity.block[0]))
    scores = _block_means(norms, 1, sparsity.block[1])
    return scores.sum(axis=2, keepdims=True) if sparsity.pattern == "connectivity" else scores


def _block_means(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Means over runs of `size` along an axis; the last run may be shorter."""
    starts = np.arange(0, values.shape[axis], size)
    counts = np.diff(starts, append=values.shape[axis])
    return np.add.reduceat(values, starts, axis=axis) / np.expand_dims(counts, tuple({0, 1, 2} - {axis}))


def spread(units: np.ndarray, sparsity: Sparsity, shape: WeightShape) -> np.ndarray:
    """A value per unit, as `unit_scores` orders them, given to each of its weights: (out, in, height, width)."""
    wide = units.repeat(sparsity.block[0], axis=0)[: shape[0]].repeat(sparsity.block[1], axis=1)[:, : shape[1]]
    return np.broadcast_to(wide, (shape[0], shape[1], shape[2] * shape[3])).reshape(shape)


def _best(scores: np.ndarray, sparsity: Sparsity, shape: WeightShape) -> np.ndarray:
    """Where the units to keep are: of each filter group (the first axis) if balanced, else of all together."""
    rows = scores.reshape(len(scores) if sparsity.balanced else 1, -1)
    order = np.argsort(-rows, axis=1, kind="stable")
    kept = np.zeros(rows.shape, bool)
    np.put_along_axis(kept, order[:, : sparsity.kept_units(shape)], True, axis=1)
    return kept.reshape(scores.shape)


def kernel_patterns(weight: np.ndarray, patterns: int) -> np.ndarray:
    """The patterns that suit most kernels of a 3x3 weight, most frequent first: rows of CANDIDATES, at most `patterns`.

    A kernel's natural pattern is its centre and the three largest other entries (PatDNN, section 4.1); kernels of zeros
    have none. A weight of zeros gets the first candidate.
    """
    kernels = weight.reshape(-1, 9)
    kernels = np.abs(kernels[kernels.any(axis=1)])
    kernels[:, _CENTRE] = np.inf
    natural = np.sort(np.argsort(-kernels, axis=1, kind="stable")[:, :PATTERN_ENTRIES], axis=1)
    votes = (natural[:, None] == CANDIDATES).all(axis=2).sum(axis=0)
    best = np.argsort(-votes, kind="stable")[:patterns]
    return CANDIDATES[best[votes[best] > 0] if votes.any() else best[:1]]


def _pattern_mask(weight: np.ndarray, sparsity: Sparsity) -> np.ndarray:
    if weight.shape[2:] != (3, 3):
        raise UsageError(f"kernel patterns are of 3x3 kernels, not {weight.shape[2]}x{weight.shape[3]}")
    table = np.zeros((0, 9), bool)
    for taps in kernel_patterns(weight, sparsity.patterns):
        table = np.vstack([table, np.isin(np.arange(9), taps)])
    energy = weight.reshape(*weight.shape[:2], 9) ** 2 @ table.T  # (out, in, patterns): what each pattern would keep
    kept = _best(np.sqrt(energy.max(axis=2)), sparsity, weight.shape)
    return (table[energy.argmax(axis=2)] & kept[:, :, None]).reshape(weight.shape)
