"""The uses of one weight at several places of a network as one least squares problem, and its solution for each.

Tied layers have the weight of the first of them, times factors of filters and of channels, as different batch norms
leave them. The weight is asked to be right at all uses together: samples of all are rows of one problem, divided by
their use's factors and weighted by the mean square of those of the filters. Each use has a bias of its own, unless its
module has only one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch

from models.frontend.scaled import factors_between
from models.graph.layer import Layer
from models.graph.network import Graph
from models.prune.reconstruction.problem import Problem
from models.prune.reconstruction.streams import forward

#: weights of single precision are the same up to this, relative to the largest
ROUNDING = 1e-4


@dataclass(frozen=True, eq=False)
class WeightUse:
    """A layer with the problem that it poses alone.

    Attributes:
        layer: whose weight is that of the first use times the factors.
        drawn: its problem.
        filters: (out,), float64.
        channels: (in / groups,), float64.
        bias: its bias, (out,), or None.
    """

    layer: Layer
    drawn: Problem
    filters: torch.Tensor
    channels: torch.Tensor
    bias: torch.Tensor | None

    @classmethod
    def of(cls, layer: Layer, drawn: Problem, first: str, weights: Mapping[str, torch.Tensor]) -> WeightUse:
        """A use of the weight of the layer `first`. Raises ValueError where it is another weight."""
        own, weight = (weights[f"{name}.weight"].double().numpy() for name in (first, layer.name))
        factors = factors_between(own, weight, ROUNDING)
        if factors is None:
            raise ValueError(f"the weight of {layer.name} is not that of {first}, scaled")
        bias = weights[f"{layer.name}.bias"] if layer.bias else None
        filters, channels = (torch.from_numpy(values) for values in factors)
        return cls(layer, drawn, filters, channels, bias)

    @property
    def columns(self) -> int:
        """Columns of the weight."""
        return prod(self.layer.weight_shape[1:])

    def shares_bias(self, other: WeightUse) -> bool:
        """Whether both biases are the same one's."""
        if self.bias is None or other.bias is None or self.layer.module != other.layer.module:
            return False
        return torch.equal(self.bias, other.bias) and torch.allclose(self.filters, other.filters)


def join(uses: Sequence[WeightUse]) -> Problem:
    """The problem of all uses together: columns of the weight, then one for each bias."""
    if len(uses) == 1:
        return uses[0].drawn
    places = bias_places(uses)
    biases = len(set(places) - {None})
    inputs, targets = [], []
    for use, place in zip(uses, places, strict=True):
        x, t = _plain(use)
        extra = torch.zeros(*x.shape[:2], biases)
        if place is not None:
            extra[:, :, place] = 1.0
        weight = float(use.filters.square().mean().sqrt())
        inputs.append(weight * torch.cat([x, extra], 2))
        targets.append(weight * t)
    first = uses[0].drawn
    old = torch.zeros(*first.old.shape[:2], uses[0].columns + biases, dtype=torch.float64)
    old[:, :, : uses[0].columns] = first.old[:, :, : uses[0].columns]
    for use, place in zip(uses, places, strict=True):
        if use.bias is not None and place is not None:
            own = use.bias.double() / torch.where(use.filters != 0, use.filters, 1.0)
            old[:, :, uses[0].columns + place] = own.unflatten(0, (use.layer.groups, -1))
    rectified = all(use.drawn.rectified and bool((use.filters > 0).all()) for use in uses)
    return Problem(torch.cat(inputs, 1), torch.cat(targets, 1), old, rectified)


def bias_places(uses: Sequence[WeightUse]) -> list[int | None]:
    """Which of the columns behind the weight's is each use's bias; None where it has none."""
    places: list[int | None] = []
    for number, use in enumerate(uses):
        if use.bias is None:
            places.append(None)
            continue
        same = next((places[at] for at in range(number) if use.shares_bias(uses[at])), None)
        places.append(len(set(places) - {None}) if same is None else same)
    return places


def split(uses: Sequence[WeightUse], solution: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    """The weight and bias of each use, float32, by layer and by their names in the graph.

    Args:
        solution: (groups, filters, columns), as `join` orders them.
    """
    own = solution.flatten(0, 1)
    weight = own[:, : uses[0].columns].reshape(uses[0].layer.weight_shape)
    solved: dict[str, dict[str, torch.Tensor]] = {}
    for use, place in zip(uses, bias_places(uses), strict=True):
        name = use.layer.name
        scaled = weight * use.filters[:, None, None, None] * use.channels[None, :, None, None]
        solved[name] = {f"{name}.weight": scaled.float().contiguous()}
        if place is not None:
            bias = own[:, use.columns + place] * use.filters
            solved[name][f"{name}.bias"] = bias.float().contiguous()
    return solved


def _plain(use: WeightUse) -> tuple[torch.Tensor, torch.Tensor]:
    """(inputs, targets) of a use for the weight without its factors, the bias's column left out."""
    layer, taps = use.layer, prod(use.layer.kernel)
    inputs = use.drawn.inputs[:, :, : use.columns] * use.channels.repeat_interleave(taps).float()
    filters = use.filters.unflatten(0, (layer.groups, 1, -1)).float()
    own = inputs @ (use.drawn.old[:, :, : use.columns] / _or_one(use)).transpose(1, 2).float()
    return inputs, torch.where(filters != 0, use.drawn.targets / torch.where(filters != 0, filters, 1.0), own)


def _or_one(use: WeightUse) -> torch.Tensor:
    """The product of both factors for each weight, (groups, filters, columns), 1 where it is 0."""
    channels = use.channels.repeat_interleave(prod(use.layer.kernel))
    product = use.filters.unflatten(0, (use.layer.groups, -1))[:, :, None] * channels
    return torch.where(product != 0, product, 1.0)


def inputs_at(
    graph: Graph,
    names: Sequence[str],
    dense: Mapping[str, torch.Tensor],
    pruned: Mapping[str, torch.Tensor],
    weights: Mapping[str, torch.Tensor],
) -> dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """What each of some layers reads, in the dense and in the pruned network; by name.

    Layers that were not run yet run with the weights of the dense network in both.

    Args:
        names: of layers, in order; what the first reads is there already.
        dense, pruned: tensors by name, as far as they are made and read by later layers.
        weights: of the dense network.
    """
    theirs, mine = dict(dense), dict(pruned)
    read, running = {}, False
    for layer in graph.layers:
        running = running or layer.name == names[0]
        if not running:
            continue
        both = [theirs[name] for name in layer.inputs], [mine[name] for name in layer.inputs]
        if layer.name in names:
            read[layer.name] = both
        if layer.name == names[-1]:
            break
        theirs[layer.name] = mine[layer.name] = forward(layer, both[0], weights)
        if any(a is not b for a, b in zip(*both, strict=True)):
            mine[layer.name] = forward(layer, both[1], weights)
    return read
