"""Which variant each layer gets: break-even, and the best assignment under a target.

Knows times, intervals and losses as plain numbers, which `latency.planning.options` gathers; neither networks nor
predictors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fleetpose.errors import UsageError
from latency.planning.gains import USUAL, Caution, KernelOption, pays
from latency.planning.reasons import Reason
from models.plans.knapsack import choose_one_each


class OutOfReach(UsageError):
    """A goal of time that no choice of the options at hand reaches."""


@dataclass(frozen=True)
class LayerOptions:
    """A layer's options.

    Attributes:
        layer: its name.
        dense: the best dense kernel.
        variants: the sparse ones.
        fixed: why it stays dense whatever the times say; None where it may be pruned.
        others: options that are known but not to be chosen; the break-even is read from these too.
        uses: layers of one weight whose options these are together; see `latency.planning.tied_options`.
    """

    layer: str
    dense: KernelOption
    variants: tuple[KernelOption, ...] = ()
    fixed: Reason | None = None
    others: tuple[KernelOption, ...] = ()
    uses: int = 1


def break_even(layer: LayerOptions) -> float | None:
    """The least dense / kept ratio from which on some family of variants is no slower than dense; None: none is.

    A family is a pattern with its block. Its time is taken as linear in the fraction kept, between the options there
    are; 1.0: no slower even at the mildest option's own rate carried on to everything kept.
    """
    families: dict[tuple, list[KernelOption]] = {}
    for option in (*layer.variants, *layer.others):
        if option.sparsity is not None:
            families.setdefault((option.sparsity.pattern, option.sparsity.block), []).append(option)
    crossings = (_crossing(options, layer.dense.ms) for options in families.values())
    return min((ratio for ratio in crossings if ratio is not None), default=None)


def _crossing(options: Sequence[KernelOption], dense_ms: float) -> float | None:
    points = sorted((option.kept, option.ms) for option in options)
    if points[0][1] > dense_ms:
        return None
    for (kept, ms), (more, longer) in pairwise(points):
        if longer > dense_ms:
            crossing = kept + (more - kept) * (dense_ms - ms) / (longer - ms)
            return 1 / crossing
    kept, ms = points[-1]
    if len(points) == 1:
        return 1 / kept
    slope = (ms - points[-2][1]) / max(kept - points[-2][0], 1e-12)
    carried = kept + (dense_ms - ms) / slope if slope > 0 else 1.0
    return 1 / min(1.0, carried)


def allowed_options(layer: LayerOptions, caution: Caution = USUAL) -> list[KernelOption]:
    """Dense, and the variants that pay; of two that are alike in loss only the faster."""
    if layer.fixed:
        return [layer.dense]
    paying = [option for option in layer.variants if pays(option, layer.dense, caution)]
    best = [
        option for option in paying
        if not any(other.ms < option.ms and other.loss <= option.loss for other in paying)
    ]  # fmt: skip
    return [layer.dense, *best]


def fastest(layers: Sequence[LayerOptions], caution: Caution = USUAL) -> list[KernelOption]:
    """For each layer its fastest allowed option, whatever it costs in accuracy."""
    return [min(allowed_options(layer, caution), key=lambda option: option.ms) for layer in layers]


def steepest(layers: Sequence[LayerOptions], caution: Caution = USUAL) -> list[KernelOption]:
    """For each layer the allowed option that saves the most time for what it loses; dense where none is allowed.

    What loses nothing goes first; of several such the fastest.
    """
    chosen = []
    for layer in layers:
        sparse = [option for option in allowed_options(layer, caution) if option.sparsity is not None]
        free = [option for option in sparse if option.loss <= 0]
        if free:
            chosen.append(min(free, key=lambda option: option.ms))
        else:
            rate = [(layer.dense.ms - option.ms) / option.loss for option in sparse]
            chosen.append(sparse[int(np.argmax(rate))] if sparse else layer.dense)
    return chosen


def within_time(layers: Sequence[LayerOptions], target_ms: float, caution: Caution = USUAL) -> list[KernelOption]:
    """The allowed options of least loss whose times add up to `target_ms` at most; exact (mixed-integer program).

    Raises OutOfReach where even the fastest take longer, naming what they take.
    """
    least = sum(option.ms for option in fastest(layers, caution))
    if least > target_ms:
        raise OutOfReach(
            f"the layers cannot take {target_ms:.4g} ms: the fastest whose gain is sure enough take {least:.4g} ms; "
            f"allow more zeros (--sparsity), less --confidence, or measure (--measure)"
        )
    return _assign(layers, caution, lambda option: option.loss, lambda option: option.ms, target_ms)


def within_loss(layers: Sequence[LayerOptions], max_loss: float, caution: Caution = USUAL) -> list[KernelOption]:
    """The allowed options of least time whose losses add up to `max_loss` at most; exact (mixed-integer program)."""
    return _assign(layers, caution, lambda option: option.ms, lambda option: option.loss, max_loss)


def _assign(
    layers: Sequence[LayerOptions], caution: Caution, cost: Any, weight: Any, budget: float
) -> list[KernelOption]:
    """One option per layer, total cost least, total weight within the budget: a multiple-choice knapsack."""
    options = [allowed_options(layer, caution) for layer in layers]
    groups = [[(cost(option), weight(option)) for option in layer_options] for layer_options in options]
    chosen = choose_one_each(groups, budget + 1e-9 * max(1.0, abs(budget)))
    return [layer_options[index] for layer_options, index in zip(options, chosen, strict=True)]
