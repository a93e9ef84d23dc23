"""How many zeros each layer gets, so that little is lost where a given share of the network is to go; torch-free.

Losses of layers are taken to add up. With that the best choice is a multiple-choice knapsack (models.plans.knapsack).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fleetpose.errors import UsageError
from models.graph.layer import Layer
from models.plans.knapsack import choose_one_each
from models.plans.sparsity import Sparsity

#: what a budget may be counted in
COUNTED = ("params", "macs")

#: steps between the fractions of zeros that are tried
STEP = 0.02


@dataclass(frozen=True)
class PruningOption:
    """One way to have a layer: `left` parameters or MACs at `loss`. A sparsity of None is dense."""

    sparsity: Sparsity | None
    left: int
    loss: float


def options(
    layer: Layer, families: Mapping[Sparsity, Mapping[float, float]], counted: str = "params", macs: int | None = None
) -> list[PruningOption]:
    """A layer's options, dense first.

    Args:
        families: measured losses by fraction of zeros, for each family of sparsities (its own zeros do not matter).
            Between two points the square root of the loss is linear, since small errors grow with the square; beyond
            the last one nothing is offered.
        counted: "params" or "macs".
        macs: of the layer and those that are tied to it (default: the layer's own).
    """
    choices = [dense_option(layer, counted, macs)]
    for family, curve in families.items():
        points = sorted({0.0: 0.0, **curve}.items())
        known, roots = np.array([x for x, _ in points]), np.sqrt(np.maximum([y for _, y in points], 0.0))
        roots = np.maximum.accumulate(roots)
        least = 5 / 9 if family.pattern == "pattern" else STEP
        for zeros in np.arange(least, known[-1] + 1e-9, STEP):
            sparsity = replace(family, zeros=round(float(zeros), 4))
            if sparsity.applies_to(layer) is None:
                loss = float(np.interp(1 - sparsity.kept_fraction(layer.weight_shape), known, roots)) ** 2
                choices.append(PruningOption(sparsity, _count_left(layer, sparsity, counted, macs), loss))
    return choices


def dense_option(layer: Layer, counted: str = "params", macs: int | None = None) -> PruningOption:
    """A layer as it is; arguments as for `options`."""
    return PruningOption(None, layer.params if counted == "params" else _all_macs(layer, macs), 0.0)


def _count_left(layer: Layer, sparsity: Sparsity, counted: str, macs: int | None) -> int:
    if counted == "macs":
        return round(_all_macs(layer, macs) * sparsity.kept_fraction(layer.weight_shape))
    return sparsity.kept_weights(layer) + layer.bias * layer.out_shape[0]


def _all_macs(layer: Layer, macs: int | None) -> int:
    return layer.macs if macs is None else macs


def allocate(choices: Mapping[str, Sequence[PruningOption]], budget: int) -> dict[str, PruningOption]:
    """One option per layer, least loss in all, with at most `budget` left of all together.

    Raises:
        UsageError: even the options of fewest leave more.
    """
    least = sum(min(option.left for option in layer_options) for layer_options in choices.values())
    if least > budget:
        raise UsageError(f"{budget} cannot be reached: at the most zeros that were measured {least} are left")
    scale = max(budget, 1)
    groups = [[(option.loss, option.left / scale) for option in layer_options] for layer_options in choices.values()]
    chosen = choose_one_each(groups, budget / scale, gap=1e-4, seconds=60)
    return {name: choices[name][index] for name, index in zip(choices, chosen, strict=True)}


def uniform(
    layers: Sequence[Layer],
    family: Sparsity,
    budget: int,
    counted: str = "params",
    macs: Mapping[str, int] | None = None,
) -> dict[str, PruningOption]:
    """The same fraction of zeros in every layer that can have it, the least with which at most `budget` is left.

    Args:
        macs: of the layers with those that are tied to them, by name (default: the layers' own).

    Raises:
        UsageError: even 98 % of zeros leave more.
    """
    for zeros in np.arange(0, 0.9801, 0.002):
        allocation = {}
        for layer in layers:
            uses = (macs or {}).get(layer.name)
            sparsity = replace(family, zeros=round(float(zeros), 4)) if _possible(family, zeros) else None
            if sparsity is None or sparsity.applies_to(layer) is not None:
                allocation[layer.name] = dense_option(layer, counted, uses)
            else:
                allocation[layer.name] = PruningOption(sparsity, _count_left(layer, sparsity, counted, uses), 0.0)
        if sum(option.left for option in allocation.values()) <= budget:
            return allocation
    raise UsageError(f"{budget} cannot be reached by any fraction of zeros up to 0.98")


def _possible(family: Sparsity, zeros: float) -> bool:
    return zeros > 0 and (family.pattern != "pattern" or zeros >= 5 / 9)
