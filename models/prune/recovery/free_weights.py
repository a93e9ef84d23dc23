"""The weights and biases of a pruned graph that may move, and the zeros among them that may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.frontend.parameters import COMPUTED
from models.frontend.scaled import factors_between
from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.tied import first_uses, spread_over_uses
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.streams import torch_weights
from models.prune.reconstruction.uses import ROUNDING


@dataclass(frozen=True, eq=False)
class FreeTensor:
    """One tensor that moves: the weight of the first of tied layers, or a bias.

    Attributes:
        value: it, a leaf of autograd's graph.
        kept: bool of its shape, false where it has to stay zero; None where all of it moves.
    """

    value: torch.Tensor
    kept: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class _Use:
    """A tensor of the graph's weights as a free tensor times factors, broadcast; None: as it is."""

    tensor: str
    factors: torch.Tensor | None


class FreeWeights:
    """What of a pruned graph's weights moves: those of every convolution that has a parameter, and its biases.

    Args:
        dense: the graph before it was pruned, which says how tied layers' weights are scaled.
        pruned: the same graph with zeros.
        sparsities: by layer; what is zero in these layers stays so.

    Attributes:
        tensors: by name in the graph, as in Graph.weights; of tied layers the first.
    """

    def __init__(self, dense: Graph, pruned: Graph, sparsities: Mapping[str, Sparsity]) -> None:
        self.graph, self.start = pruned, torch_weights(pruned)
        self.tensors: dict[str, FreeTensor] = {}
        self._uses: dict[str, _Use] = {}
        first, sparse = first_uses(pruned.layers), spread_over_uses(pruned.layers, sparsities)
        for layer in pruned.layers:
            if layer.op == "conv" and layer.parameter != COMPUTED:
                self._add(dense, layer, first[layer.name], layer.name in sparse)

    def _add(self, dense: Graph, layer: Layer, first: str, sparse: bool) -> None:
        name, factors, same_filters = f"{layer.name}.weight", None, True
        if first == layer.name:
            value = self.start[name].clone().requires_grad_()
            kept = value.detach() != 0 if sparse else None
            self.tensors[name] = FreeTensor(value, kept)
        else:
            own, theirs = (np.asarray(dense.weights[f"{key}.weight"], np.float64) for key in (first, layer.name))
            pair = factors_between(own, theirs, ROUNDING)
            if pair is None:
                raise ValueError(f"the weight of {layer.name} is not that of {first}, scaled")
            filters, channels = (torch.from_numpy(values).float() for values in pair)
            same_filters = torch.allclose(filters, torch.ones(()))
            factors = filters[:, None, None, None] * channels[None, :, None, None]
        self._uses[name] = _Use(f"{first}.weight", factors)
        if layer.bias:
            self._add_bias(dense, layer, first, same_filters)

    def _add_bias(self, dense: Graph, layer: Layer, first: str, same_filters: bool) -> None:
        """A bias of its own, or that of an earlier call of the same module."""
        name = f"{layer.name}.bias"
        other = f"{first}.bias"
        same_module = first != layer.name and dense.layer(first).module == layer.module and other in self.tensors
        if same_module and same_filters and np.array_equal(dense.weights[other], dense.weights[name]):
            self._uses[name] = _Use(other, None)
            return
        value = self.start[name].clone().requires_grad_()
        self.tensors[name] = FreeTensor(value, None)
        self._uses[name] = _Use(name, None)

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights of the graph, those that move in autograd's graph."""
        moved = {name: self._value(use) for name, use in self._uses.items()}
        return {**self.start, **moved}

    def _value(self, use: _Use) -> torch.Tensor:
        value = self.tensors[use.tensor].value
        return value if use.factors is None else value * use.factors

    def values(self) -> dict[str, torch.Tensor]:
        """Copies of what moves, by name."""
        return {name: tensor.value.detach().clone() for name, tensor in self.tensors.items()}

    @torch.no_grad()
    def take(self, values: Mapping[str, torch.Tensor]) -> None:
        """Set what moves to values that `values` answered, or some of it."""
        for name, value in values.items():
            self.tensors[name].value.copy_(value)

    def result(self) -> Graph:
        """The graph with the weights as they are now."""
        with torch.no_grad():
            now = self.weights()
        moved = {name: now[name].detach().numpy().copy() for name in self._uses}
        return replace(self.graph, weights={**self.graph.weights, **moved})
