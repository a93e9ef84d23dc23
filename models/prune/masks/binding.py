"""Where the weights of a graph's convolutions live in the torch network it was traced from, and how they go back.

A graph has batch norms folded into its convolutions; a network has not. `adopt` gives a network the weights of a
changed graph, so that tracing it again answers that graph.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import eval_mode
from models.graph.layer import Layer
from models.graph.network import Graph
from models.graph.transposed import swap_channels

#: the modules whose weights a graph's convolutions have
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True, eq=False)
class Home:
    """The modules one convolution of a graph came from.

    Attributes:
        layer: of the graph.
        conv: its weight is the folded one divided by `scale`; a transposed one's has in and out swapped.
        norm: the batch norm right after it, or None.
        name: the conv's path in the network.
    """

    layer: Layer
    conv: nn.Conv2d | nn.ConvTranspose2d
    norm: nn.BatchNorm2d | None
    name: str

    @property
    def scale(self) -> torch.Tensor:
        """What the norm multiplies each filter by, (out,) float64."""
        if self.norm is None:
            return torch.ones(self.conv.out_channels, dtype=torch.float64)
        assert self.norm.running_var is not None
        deviation = (self.norm.running_var.detach().double() + self.norm.eps).sqrt()
        gamma = torch.ones_like(deviation) if self.norm.weight is None else self.norm.weight.detach().double()
        return gamma / deviation

    @property
    def weight(self) -> torch.Tensor:
        """The module's own weight as a graph orders it, (out, in / groups, height, width)."""
        return swap_channels(self.conv.weight, self.conv.groups) if self.layer.transposed else self.conv.weight

    @property
    def can_shift(self) -> bool:
        """Whether something of the network can take up a change of the folded bias."""
        return self.conv.bias is not None or self.norm is not None


def homes(network: nn.Module, graph: Graph) -> dict[str, Home]:
    """The home of every convolution of `graph`, by layer name, but for layers that have none of their own.

    A layer has none where its weight is not just one convolution's, used once: then nothing can be written back.
    """
    modules = dict(network.named_modules())
    norms = _following_norms(network, graph)
    used = [layer.module for layer in graph.layers if layer.op == "conv"]
    by_layer = {}
    for layer in graph.layers:
        conv = modules.get(layer.module)
        if layer.op != "conv" or not isinstance(conv, CONVOLUTIONS) or used.count(layer.module) > 1:
            continue
        home = Home(layer, conv, norms.get(conv), layer.module)
        own = home.weight.detach().double() * home.scale[:, None, None, None]
        folded = torch.from_numpy(np.asarray(graph.weights[f"{layer.name}.weight"], np.float64))
        if own.shape == folded.shape and torch.allclose(own, folded, rtol=1e-4, atol=1e-7):
            by_layer[layer.name] = home
    return by_layer


def _following_norms(network: nn.Module, graph: Graph) -> dict[nn.Module, nn.BatchNorm2d]:
    """The batch norm that reads each convolution's output, found by running the network once."""
    sources: dict[int, nn.Module] = {}
    kept_alive: list[torch.Tensor] = []  # so that no two outputs have one identity
    norms: dict[nn.Module, nn.BatchNorm2d] = {}

    def after_conv(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        sources[id(output)] = module
        kept_alive.append(output)

    def before_norm(module: nn.BatchNorm2d, inputs: tuple[Any, ...]) -> None:
        if id(inputs[0]) in sources:
            norms[sources[id(inputs[0])]] = module

    with eval_mode(network), torch.no_grad(), ExitStack() as hooks:
        for module in network.modules():
            if isinstance(module, CONVOLUTIONS):
                hooks.enter_context(module.register_forward_hook(after_conv))
            elif isinstance(module, nn.BatchNorm2d):
                hooks.enter_context(module.register_forward_pre_hook(before_norm))
        network(torch.zeros(1, *graph.input_shape))
    return norms


@torch.no_grad()
def adopt(network: nn.Module, before: Graph, after: Graph) -> None:
    """Give `network`, of which `before` was traced, the weights of `after`, in place.

    Raises:
        UsageError: a convolution that changed has no home; nothing is changed then.
    """
    known = homes(network, before)
    changed = [
        name
        for name in before.weights
        if before.weights[name] is not after.weights[name]
        and not np.array_equal(before.weights[name], after.weights[name])
    ]
    for name in changed:
        layer, _, kind = name.rpartition(".")
        if layer not in known or (kind == "bias" and not known[layer].can_shift):
            raise UsageError(f"layer {layer!r} has no convolution of its own in the network, so it cannot be pruned")
    for name in changed:
        layer, _, kind = name.rpartition(".")
        new = torch.from_numpy(np.asarray(after.weights[name], np.float64))
        if kind == "weight":
            _set_weight(known[layer], new)
        else:
            _shift(known[layer], new - torch.from_numpy(np.asarray(before.weights[name], np.float64)))


def _set_weight(home: Home, folded: torch.Tensor) -> None:
    scale = home.scale[:, None, None, None]
    own = torch.where(scale != 0, folded / scale, home.weight.double() * (folded != 0))
    home.conv.weight.copy_(swap_channels(own, home.conv.groups) if home.layer.transposed else own)


def _shift(home: Home, change: torch.Tensor) -> None:
    """Add `change`, (out,), to the folded bias."""
    own = torch.where(home.scale != 0, change / home.scale, 0.0)
    if home.conv.bias is not None:
        home.conv.bias.copy_(home.conv.bias.double() + own)
    elif home.norm is not None and home.norm.running_mean is not None:
        home.norm.running_mean.copy_(home.norm.running_mean.double() - own)
