"""Where the weights of a graph's convolutions live in the torch network it was traced from, and how they go back.

A graph has batch norms folded into its convolutions; a network has not. `adopt` gives a network the weights of a
changed graph, so that tracing it again answers that graph.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
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
Conv = nn.Conv2d | nn.ConvTranspose2d
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True, eq=False)
class Home:
    """The modules one convolution of a graph came from.

    Attributes:
        layer: of the graph.
        conv: its weight is the folded one divided by `scale` and `in_scale`; a transposed one's has in and out
            swapped.
        norm: the batch norm right after it, or None.
        name: the conv's path in the network.
        scale: what its results are multiplied by, (out,) float64: by the norm, by arithmetic after it.
        in_scale: what its inputs are multiplied by, (in / groups,) float64: by arithmetic before it.
    """

    layer: Layer
    conv: Conv
    norm: nn.BatchNorm2d | None
    name: str

    scale: torch.Tensor
    in_scale: torch.Tensor

    @classmethod
    def of(cls, layer: Layer, conv: Conv, norm: nn.BatchNorm2d | None, folded: torch.Tensor) -> Home | None:
        """The home of a layer whose weight is `folded`; None where that is not the module's, scaled."""
        out_scale, ones = _norm_scale(conv, norm), torch.ones(folded.shape[1], dtype=torch.float64)
        home = cls(layer, conv, norm, layer.module, out_scale, ones)
        own = home.weight.detach().double()
        if own.shape != folded.shape:
            return None
        if _close(own * out_scale[:, None, None, None], folded):
            return home
        scaled = own * out_scale[:, None, None, None]
        for scale, in_scale in (
            (out_scale * _ratio(scaled, folded, (1, 2, 3)), ones),
            (out_scale, _ratio(scaled, folded, (0, 2, 3))),
        ):
            if _close(own * scale[:, None, None, None] * in_scale[None, :, None, None], folded):
                return replace(home, scale=scale, in_scale=in_scale)
        return None

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

    A layer has none where its weight is not just one convolution's, used once, and a parameter: then nothing can be
    written back.
    """
    modules = dict(network.named_modules())
    norms = _following_norms(network, graph)
    used = [layer.module for layer in graph.layers if layer.op == "conv"]
    by_layer = {}
    for layer in graph.layers:
        conv = modules.get(layer.module)
        if layer.op != "conv" or not isinstance(conv, CONVOLUTIONS) or used.count(layer.module) > 1:
            continue
        if "weight" not in dict(conv.named_parameters(recurse=False)):  # computed of others, as by a weight norm
            continue
        folded = torch.from_numpy(np.asarray(graph.weights[f"{layer.name}.weight"], np.float64))
        home = Home.of(layer, conv, norms.get(conv), folded)
        if home is not None:
            by_layer[layer.name] = home
    return by_layer


def _norm_scale(conv: Conv, norm: nn.BatchNorm2d | None) -> torch.Tensor:
    """What the norm after a convolution multiplies each filter by, (out,) float64."""
    if norm is None:
        return torch.ones(conv.out_channels, dtype=torch.float64)
    assert norm.running_var is not None
    deviation = (norm.running_var.detach().double() + norm.eps).sqrt()
    gamma = torch.ones_like(deviation) if norm.weight is None else norm.weight.detach().double()
    return gamma / deviation


def _ratio(own: torch.Tensor, folded: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """The least squares factors between two weights, one for each place along the remaining axis; 1 where all is 0."""
    square = own.square().sum(axes)
    return torch.where(square > 0, (own * folded).sum(axes) / square.clamp(min=1e-300), 1.0)


def _close(own: torch.Tensor, folded: torch.Tensor) -> bool:
    return torch.allclose(own, folded, rtol=1e-4, atol=1e-7)


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


def homeless(layer: str) -> UsageError:
    """The error for a layer whose weight is no module's alone."""
    return UsageError(
        f"layer {layer!r} has no convolution of its own in the network, so it cannot be pruned\n"
        f"give each call a module of its own whose weight is a parameter"
    )


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
            raise homeless(layer)
    for name in changed:
        layer, _, kind = name.rpartition(".")
        new = torch.from_numpy(np.asarray(after.weights[name], np.float64))
        if kind == "weight":
            _set_weight(known[layer], new)
        else:
            _shift(known[layer], new - torch.from_numpy(np.asarray(before.weights[name], np.float64)))


def _set_weight(home: Home, folded: torch.Tensor) -> None:
    scale = home.scale[:, None, None, None] * home.in_scale[None, :, None, None]
    own = torch.where(scale != 0, folded / scale, home.weight.double() * (folded != 0))
    home.conv.weight.copy_(swap_channels(own, home.conv.groups) if home.layer.transposed else own)


def _shift(home: Home, change: torch.Tensor) -> None:
    """Add `change`, (out,), to the folded bias."""
    own = torch.where(home.scale != 0, change / home.scale, 0.0)
    if home.conv.bias is not None:
        home.conv.bias.copy_(home.conv.bias.double() + own)
    elif home.norm is not None and home.norm.running_mean is not None:
        home.norm.running_mean.copy_(home.norm.running_mean.double() - own)
