"""Where the weights of a graph's convolutions live in the torch network it was traced from, and how they go back.

A graph has batch norms folded into its convolutions; a network has not. `adopt` gives a network the weights of a
changed graph, so that tracing it again answers that graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.scaled import factors_between
from models.frontend.trace import eval_mode
from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.transposed import swap_channels

#: how far the values that uses of one parameter ask for may lie apart, relatively: their rounding
SAME = 1e-4
#: a folded weight is its parameter's up to this, relatively, or up to so little
ROUNDING, LEAST = 1e-4, 1e-7
#: modules whose bias is that of the layer they make
BIASED = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True, eq=False)
class Home:
    """What of the network one convolution of a graph came from.

    Attributes:
        layer: of the graph.
        name: of the parameter that the layer's weight is, divided by `scale` and `in_scale`; layers that are tied have
            one name.
        parameter: it, in the shape it has in the network.
        bias: the module's own bias; None where it has none.
        norm: the batch norm right after it, or None.
        scale: what its results are multiplied by, (out,) float64: by the norm, by arithmetic after it.
        in_scale: what its inputs are multiplied by, (in / groups,) float64: by arithmetic before it.
    """

    layer: Layer
    name: str
    parameter: torch.Tensor
    bias: torch.Tensor | None
    norm: nn.BatchNorm2d | None
    scale: torch.Tensor
    in_scale: torch.Tensor

    @classmethod
    def of(
        cls,
        layer: Layer,
        parameter: torch.Tensor,
        bias: torch.Tensor | None,
        norms: Sequence[nn.BatchNorm2d],
        folded: torch.Tensor,
    ) -> Home | None:
        """The home of a layer whose weight is `folded`; None where that is not the parameter's, scaled.

        Args:
            norms: that read what the layer's module answers; the module may be called several times.
        """
        if parameter.numel() != folded.numel():
            return None
        for norm in (*norms, None):
            scale = _norm_scale(folded.shape[0], norm)
            home = cls(layer, layer.parameter or "", parameter, bias, norm, scale, torch.ones(folded.shape[1]))
            own = home.ordered(parameter.detach()).double()
            both = factors_between(own.numpy(), folded.numpy(), ROUNDING, LEAST, scale.numpy())
            if both is not None:
                factors, channels = map(torch.from_numpy, both)
                return replace(home, scale=factors, in_scale=channels)
        return None

    def ordered(self, values: torch.Tensor) -> torch.Tensor:
        """Values of the parameter's shape as a graph orders them, (out, in / groups, height, width)."""
        if not self.layer.transposed:
            return values.reshape(self.layer.weight_shape)
        out, channels, *taps = self.layer.weight_shape
        groups = self.layer.groups
        return swap_channels(values.reshape(channels * groups, out // groups, *taps), groups)

    def unordered(self, values: torch.Tensor) -> torch.Tensor:
        """The inverse of `ordered`."""
        plain = swap_channels(values, self.layer.groups) if self.layer.transposed else values
        return plain.reshape(self.parameter.shape)

    @property
    def can_shift(self) -> bool:
        """Whether something of the network can take up a change of the folded bias."""
        return self.bias is not None or self.norm is not None


def homes(network: nn.Module, graph: Graph) -> dict[str, Home]:
    """The home of every convolution of `graph`, by layer name, but for layers that have none: whose weight is not just
    a parameter, scaled by channel."""
    modules, norms = dict(network.named_modules()), _following_norms(network, graph)
    parameters = dict(network.named_parameters(remove_duplicate=False))
    by_layer = {}
    for layer in graph.layers:
        if layer.op != "conv" or layer.parameter not in parameters:
            continue
        module = modules.get(layer.module)
        beside = parameters.get(layer.parameter.removesuffix("weight") + "bias")
        bias = module.bias if isinstance(module, BIASED) else beside
        bias = bias if bias is None or bias.numel() == layer.out_shape[0] else None
        folded = torch.from_numpy(np.asarray(graph.weights[f"{layer.name}.weight"], np.float64))
        home = Home.of(layer, parameters[layer.parameter], bias, norms.get(layer.module, ()), folded)
        if home is not None:
            by_layer[layer.name] = home
    return by_layer


def _norm_scale(filters: int, norm: nn.BatchNorm2d | None) -> torch.Tensor:
    """What the norm after a convolution multiplies each filter by, (out,) float64."""
    if norm is None or norm.num_features != filters or norm.running_var is None:
        return torch.ones(filters, dtype=torch.float64)
    deviation = (norm.running_var.detach().double() + norm.eps).sqrt()
    gamma = torch.ones_like(deviation) if norm.weight is None else norm.weight.detach().double()
    return gamma / deviation


def _following_norms(network: nn.Module, graph: Graph) -> dict[str, list[nn.BatchNorm2d]]:
    """The batch norms that read what each module answers, by the module's path, found by running the network once."""
    paths = {module: path for path, module in network.named_modules()}
    sources: dict[int, nn.Module] = {}
    kept_alive: list[torch.Tensor] = []  # so that no two outputs have one identity
    norms: dict[str, list[nn.BatchNorm2d]] = {}

    def after_conv(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        sources[id(output)] = module
        kept_alive.append(output)

    def before_norm(module: nn.BatchNorm2d, inputs: tuple[Any, ...]) -> None:
        if id(inputs[0]) in sources:
            norms.setdefault(paths[sources[id(inputs[0])]], []).append(module)

    with eval_mode(network), torch.no_grad(), ExitStack() as hooks:
        for module in network.modules():
            if isinstance(module, BIASED):
                hooks.enter_context(module.register_forward_hook(after_conv))
            elif isinstance(module, nn.BatchNorm2d):
                hooks.enter_context(module.register_forward_pre_hook(before_norm))
        network(torch.zeros(1, *graph.input_shape))
    return norms


def homeless(layer: str) -> UsageError:
    """The error for a layer whose weight is no parameter's."""
    return UsageError(
        f"the weight of layer {layer!r} is no parameter of the network, so it cannot be pruned\n"
        f"compute it beforehand, and give a module that has it as a parameter"
    )


@torch.no_grad()
def adopt(network: nn.Module, before: Graph, after: Graph) -> None:
    """Give `network`, of which `before` was traced, the weights of `after`, in place.

    Raises:
        UsageError: a convolution that changed has no home, or layers that share a parameter changed in different ways;
            nothing is changed then.
    """
    known = homes(network, before)
    changed = [
        name
        for name in before.weights
        if before.weights[name] is not after.weights[name]
        and not np.array_equal(before.weights[name], after.weights[name])
    ]
    owned: list[tuple[torch.Tensor, torch.Tensor, str]] = []  # (of the network, what it becomes, layer)
    for name in changed:
        layer, _, kind = name.rpartition(".")
        if layer not in known or (kind == "bias" and not known[layer].can_shift):
            raise homeless(layer)
        home, new = known[layer], torch.from_numpy(np.asarray(after.weights[name], np.float64))
        if kind == "weight":
            owned.append((home.parameter, _own_weight(home, new), layer))
        else:
            shift = new - torch.from_numpy(np.asarray(before.weights[name], np.float64))
            owned.append((*_own_shift(home, shift), layer))
    for target, value in _agreed(owned):
        target.copy_(value)


def _agreed(owned: Sequence[tuple[torch.Tensor, torch.Tensor, str]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each tensor of the network once, with the mean of what its uses ask for. Raises UsageError where they differ."""
    asked: dict[int, list[tuple[torch.Tensor, torch.Tensor, str]]] = {}
    for entry in owned:
        asked.setdefault(id(entry[0]), []).append(entry)
    agreed = []
    for entries in asked.values():
        target, first, layer = entries[0]
        size = first.abs().max()
        for _, value, other in entries[1:]:
            if (value - first).abs().max() > SAME * size or ((value == 0) != (first == 0)).any():
                raise UsageError(f"layers {layer!r} and {other!r} share a parameter, and their weights now differ")
        agreed.append((target, torch.stack([value for _, value, _ in entries]).mean(0)))
    return agreed


def _own_weight(home: Home, folded: torch.Tensor) -> torch.Tensor:
    """The parameter's values for a folded weight."""
    scale = home.scale[:, None, None, None] * home.in_scale[None, :, None, None]
    own = torch.where(scale != 0, folded / scale, home.ordered(home.parameter.double()) * (folded != 0))
    return home.unordered(own)


def _own_shift(home: Home, change: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What of the network takes up `change`, (out,), of the folded bias; and what it becomes."""
    own = torch.where(home.scale != 0, change / home.scale, 0.0)
    if home.bias is not None:
        return home.bias, home.bias.double() + own
    assert home.norm is not None
    assert home.norm.running_mean is not None
    return home.norm.running_mean, home.norm.running_mean.double() - own
