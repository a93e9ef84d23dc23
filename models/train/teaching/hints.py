"""Features of a teacher as hints (Romero et al. 2015, FitNets): the pupil's features, through a 1x1, imitate them.

Where two networks have comparable features is found by running them: the last output at each stride, the backbone's
and what the stages read. The 1x1 adaptors are thrown away after training.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn

from models.frontend.trace import eval_mode
from models.networks.units import StagedNetwork

_PROBE = 64  # pixels on a side; enough for every stride a pose network has


def feature_places(network: nn.Module) -> dict[str, str]:
    """Comparable places: "stride 4", "backbone", "features" -> path of the module whose output it is.

    "stride s" is the last element of an nn.Sequential at that stride, so that no block's inner widening is taken.
    Empty for a network that does not say what its features are.
    """
    if not isinstance(network, StagedNetwork):
        return {}
    outputs = _outputs(network)
    strides = {path: _PROBE // shape[-1] for path, shape in outputs.items()}
    final = list(strides.values())[-1]
    ends = {
        f"{name}.{child}"
        for name, row in network.named_modules()
        if isinstance(row, nn.Sequential)
        for child, _ in row.named_children()
    }
    places = {f"stride {stride}": path for path, stride in strides.items() if 1 < stride < final and path in ends}
    parts = [path for path, stride in strides.items() if "." not in path and stride == final]
    return {**places, **dict(zip(("features", "backbone"), reversed(parts), strict=False))}


def channels_at(network: nn.Module, path: str) -> int:
    """Channels of the output of the module at `path`, one of the `feature_places`."""
    assert isinstance(network, StagedNetwork)
    return _outputs(network)[path][1]


@torch.no_grad()
def _outputs(network: StagedNetwork) -> dict[str, torch.Size]:
    """Module path -> shape of its output for a 64 x 64 input, in the order in which they finish."""
    outputs: dict[str, torch.Tensor] = {}
    with eval_mode(network), ExitStack() as hooks:
        for path, module in network.named_modules():
            if path:
                hooks.enter_context(module.register_forward_hook(partial(_keep, outputs, path)))
        network.features(torch.zeros(1, 3, _PROBE, _PROBE, device=next(network.parameters()).device))
    return {path: output.shape for path, output in outputs.items()}


class Tapped(nn.Module):
    """A network whose forward answers all its stages and the outputs at some places inside.

    Args:
        network: gives [heatmaps, PAFs] of every stage by `stages`, or of the last by its forward.
        places: name -> module path.
    """

    def __init__(self, network: nn.Module, places: Mapping[str, str]) -> None:
        super().__init__()
        self.network = network
        self.places = dict(places)

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
        network = self.network
        seen: dict[str, torch.Tensor] = {}
        with ExitStack() as hooks:  # only while they are needed: the network is its owner's, and is copied
            for name, path in self.places.items():
                hooks.enter_context(network.get_submodule(path).register_forward_hook(partial(_keep, seen, name)))
            stages = network.stages(x) if isinstance(network, StagedNetwork) else list(network(x))
        return stages, seen


def _keep(kept: dict[str, Any], name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
    kept[name] = output


class Pupil(nn.Module):
    """The network in training, with an adaptor per hint. Answers (stages, {place: features as the teacher has them}).

    Args:
        network: what is trained.
        places: name -> path in `network` of what is to imitate the teacher.
        channels: name -> the teacher's channels there; other places are answered as they are.
    """

    def __init__(self, network: nn.Module, places: Mapping[str, str], channels: Mapping[str, int]) -> None:
        super().__init__()
        self.tapped = Tapped(network, places)
        self.adaptors = nn.ModuleDict({_key(name): nn.Identity() for name in places})
        for name, count in channels.items():
            self.adaptors[_key(name)] = nn.Conv2d(channels_at(network, places[name]), count, 1)

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
        stages, seen = self.tapped(x)
        return stages, {name: self.adaptors[_key(name)](features) for name, features in seen.items()}


def _key(name: str) -> str:
    return name.replace(" ", "_")
