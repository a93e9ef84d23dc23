"""Doubtful losses: which of them a decision hangs on, so that these are measured and others are not.

Losses that were not measured are known to a factor only. So the decision is made several times over, each time with
losses drawn from what they may be; where a layer gets the same variant every time, its losses need no measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from latency.planning.assignment import LayerOptions, OutOfReach
from latency.planning.choosing import Goal, choose_options
from latency.planning.gains import KernelOption
from latency.planning.measured_losses import MeasuredLosses
from latency.planning.options import NetworkOptions
from models.graph.layer import Layer
from models.plans.sparsity import Sparsity

#: decisions that are made for one answer
DRAWS = 12

#: what a variant of a layer costs
Price = Callable[[Layer, Sparsity], float]


def priced(network: NetworkOptions, price: Price) -> NetworkOptions:
    """A network whose options have other losses; its times stay."""

    def option_with(layer: Layer, option: KernelOption) -> KernelOption:
        return option if option.sparsity is None else replace(option, loss=price(layer, option.sparsity))

    def layer_with(options: LayerOptions) -> LayerOptions:
        layer = network.graph.layer(options.layer)
        return replace(
            options,
            variants=tuple(option_with(layer, option) for option in options.variants),
            others=tuple(option_with(layer, option) for option in options.others),
        )

    return replace(network, layers=tuple(layer_with(options) for options in network.layers))


def doubtful_points(
    network: NetworkOptions, goals: Sequence[Goal], losses: MeasuredLosses, seed: int = 0
) -> dict[str, list[Sparsity]]:
    """The variants that were not measured, of layers whose choice their losses may change; by layer, of tied ones the
    first, those first whose choice changes most often.

    Args:
        network: with the times of all options, as far as they are known.
        goals: that plans are made for; one that is out of reach asks for nothing.
        losses: what is known of losses.
    """
    random = np.random.default_rng(seed)
    seen: dict[str, list[Sparsity | None]] = {}
    for draw in range(DRAWS):
        factors: dict[tuple[str, Sparsity], float] = {}

        def price(
            layer: Layer, sparsity: Sparsity, factors: dict[tuple[str, Sparsity], float] = factors, draw: int = draw
        ) -> float:
            key = layer.name, sparsity
            if key not in factors:
                factors[key] = float(np.exp(losses.spread(layer, sparsity) * random.standard_normal())) if draw else 1.0
            return losses.of(layer, sparsity) * factors[key]

        drawn = priced(network, price)
        for goal in goals:
            try:
                chosen = choose_options(drawn, goal)
            except OutOfReach:
                continue
            for options, option in zip(network.layers, chosen, strict=True):
                seen.setdefault(options.layer, []).append(option.sparsity)
    later = {name for names in network.tied.values() for name in names[1:]}
    changes = {name: len(choices) - max(map(choices.count, choices)) for name, choices in seen.items()}
    wanted = {}
    for name in sorted(changes, key=lambda name: -changes[name]):
        layer = network.graph.layer(name)
        open_ones = [
            sparsity for sparsity in dict.fromkeys(seen[name])
            if sparsity is not None and not losses.is_measured(layer, sparsity)
        ]  # fmt: skip
        if changes[name] and open_ones and name not in later:
            wanted[name] = open_ones
    return wanted
