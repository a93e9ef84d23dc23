"""The parameters of a torch network that a plan prunes, and the masks held on them while it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from models.graph.network import Graph
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.masks.binding import Home, homeless, homes
from models.prune.masks.build import mask


@dataclass(frozen=True, eq=False)
class Target:
    """One weight that is to have zeros.

    Attributes:
        name: of the parameter in the network.
        weight: the parameter, in the shape it has in the network; its values change as the network trains.
        sparsity: what it is to have.
        home: where it is in the network, of its first use; knows its order.
        importance: what magnitudes are multiplied by before they are compared, broadcast to (out, in / groups, height,
            width); None is 1.
        norm: the batch norm after it, whose factors magnitudes are multiplied by, too; None where there is none.
    """

    name: str
    weight: torch.Tensor
    sparsity: Sparsity
    home: Home
    importance: np.ndarray | None = None
    norm: nn.BatchNorm2d | None = None

    def ordered(self, values: torch.Tensor) -> torch.Tensor:
        """Values of the weight's shape as (out, in / groups, height, width)."""
        return self.home.ordered(values)

    def unordered(self, values: torch.Tensor) -> torch.Tensor:
        """The inverse of `ordered`."""
        return self.home.unordered(values)

    def mask(self, values: torch.Tensor | None = None, sparsity: Sparsity | None = None) -> torch.Tensor:
        """What is kept of `values` (None: of the weight), bool on the weight's device.

        Args:
            sparsity: instead of the target's own, such as one of fewer zeros.
        """
        scores = self.ordered(self.weight if values is None else values).detach().cpu().double().numpy()
        if self.importance is not None:
            scores = scores * self.importance
        if self.norm is not None and self.norm.running_var is not None:
            factor = 1 / (self.norm.running_var.detach().double() + self.norm.eps).sqrt()
            factor = factor if self.norm.weight is None else factor * self.norm.weight.detach().double().abs()
            scores = scores * factor.cpu().numpy()[:, None, None, None]
        return self.unordered(torch.tensor(mask(scores, sparsity or self.sparsity))).to(self.weight.device)


def find_targets(
    network: nn.Module, graph: Graph, plan: Plan, importance: Mapping[str, np.ndarray] | None = None
) -> list[Target]:
    """The targets of a plan, in its order.

    Args:
        graph: traced from `network`.
        importance: by layer, as Target.importance.

    Raises:
        UsageError: the plan is not of this network, or a layer has no weight of its own in it.
    """
    plan.check(graph.layers)
    known, weights = homes(network, graph), importance or {}
    lost = [layer for layer in plan.sparsities if layer not in known]
    if lost:
        raise homeless(lost[0])
    uses: dict[str, list[Home]] = {}
    for layer in plan.sparsities:
        uses.setdefault(known[layer].name, []).append(known[layer])
    return [_target(alike, plan, weights) for alike in uses.values()]


def _target(uses: Sequence[Home], plan: Plan, importance: Mapping[str, np.ndarray]) -> Target:
    """The target of one parameter; importances of several uses add up as squares."""
    first, norms = uses[0], {id(home.norm): home.norm for home in uses}
    given = [importance[home.layer.name] for home in uses if home.layer.name in importance]
    return Target(
        first.name,
        first.parameter,
        plan.sparsities[first.layer.name],
        first,
        np.sqrt(np.sum([np.square(values) for values in given], axis=0)) if given else None,
        first.norm if len(norms) == 1 else None,
    )


class Masks:
    """Masks on some targets: multiplied onto the weights again and again, so that what is masked stays zero.

    Attributes:
        held: by the parameter's name, bool of its shape.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self.held: dict[str, torch.Tensor] = {}

    def take(self, masks: Mapping[str, torch.Tensor]) -> None:
        """Hold these from now on, and apply them."""
        self.held = {name: mask.bool() for name, mask in masks.items()}
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Set to zero what is masked in the targets' own weights."""
        for target in self.targets:
            if target.name in self.held:
                target.weight.mul_(self._on(target.name, target.weight))

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        """Set to zero what is masked in any copy of the network. Raises KeyError for one without these parameters."""
        parameters = dict(model.named_parameters(remove_duplicate=False))
        for name in self.held:
            parameters[name].mul_(self._on(name, parameters[name]))

    def _on(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        self.held[name] = self.held[name].to(weight.device)
        return self.held[name]

    def state_dict(self) -> dict[str, Any]:
        return dict(self.held)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.held = {name: mask.bool() for name, mask in state.items()}
