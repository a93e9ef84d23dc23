"""Pruning methods as constraints on a training (models.train.constraint): masks that are held from the start, or found
by magnitude bit by bit, by ADMM, or by reweighted group lasso. The training loop calls them; they know nothing of it.

All but the first find their masks in a first part of the training, `share`, and hold them in the rest. What happens at
which progress is counted in stages, so that an interrupted training goes on with the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import nn

from fleetpose.errors import UsageError
from models.plans.sparsity import Sparsity
from models.prune.masks.groups import energies
from models.prune.masks.targets import Masks, Target


class HardMasks:
    """Masks that do not change: whatever is zero in the weights at the start, or what magnitude says."""

    def __init__(self, targets: Sequence[Target], masks: Mapping[str, torch.Tensor] | None = None) -> None:
        """`masks` are by the targets' names; None: the targets choose them by magnitude."""
        self.masks = Masks(targets)
        self.masks.take(masks if masks is not None else {target.name: target.mask() for target in targets})

    def penalty(self) -> torch.Tensor | None:
        return None

    def after_step(self, progress: float) -> None:  # noqa: ARG002  as a Constraint has it
        self.masks.apply()

    def project(self, model: nn.Module) -> None:
        self.masks.project(model)

    def state_dict(self) -> dict[str, Any]:
        return {"masks": self.masks.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.masks.load_state_dict(state["masks"])
        self.masks.apply()


class _Staged(ABC):
    """A method that acts at `stages` moments spread evenly over the first `share` of the training."""

    def __init__(self, targets: Sequence[Target], stages: int, share: float) -> None:
        if stages < 1 or not 0 < share < 1:
            raise UsageError(
                f"masks are found in 1 stage or more in a share of the training, not {stages} in {share:g}"
            )
        self.masks = Masks(targets)
        self.stages, self.share, self.stage = stages, share, 0

    @property
    def targets(self) -> tuple[Target, ...]:
        return self.masks.targets

    @property
    def final(self) -> bool:
        """Whether the masks are those of the plan by now."""
        return self.stage >= self.stages

    def penalty(self) -> torch.Tensor | None:
        return None

    def after_step(self, progress: float) -> None:
        due = min(self.stages, int(self.stages * progress / self.share + 1e-9))
        while self.stage < due:
            self.stage += 1
            self.act()
        self.masks.apply()

    @abstractmethod
    def act(self) -> None:
        """What happens when `stage` has just been reached."""

    def harden(self) -> None:
        """Choose the plan's masks by what the weights are now, and hold them."""
        self.masks.take({target.name: target.mask() for target in self.targets})

    def project(self, model: nn.Module) -> None:
        self.masks.project(model)

    def state_dict(self) -> dict[str, Any]:
        return {"stage": self.stage, "masks": self.masks.state_dict(), "tensors": self.tensors()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stage = state["stage"]
        self.masks.load_state_dict(state["masks"])
        self.load_tensors(state["tensors"])

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps besides."""
        return {}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:  # noqa: B027  a method without tensors has none
        """The inverse of `tensors`."""


class IterativeMagnitude(_Staged):
    """The smallest weights go bit by bit, zeros rising as 1 - (1 - t)^3 (Zhu & Gupta 2017, arXiv:1710.01878, eq. 1)."""

    def __init__(self, targets: Sequence[Target], stages: int = 24, share: float = 0.6) -> None:
        super().__init__(targets, stages, share)

    def act(self) -> None:
        part = 1 - (1 - self.stage / self.stages) ** 3
        self.masks.take({target.name: target.mask(sparsity=_part_of(target.sparsity, part)) for target in self.targets})


def _part_of(sparsity: Sparsity, part: float) -> Sparsity:
    """The sparsity with a part of its zeros; kernel patterns have 5/9 at the least."""
    least = 5 / 9 if sparsity.pattern == "pattern" else 0.0
    return replace(sparsity, zeros=least + max(0.0, sparsity.zeros - least) * part)


class Admm(_Staged):
    """ADMM pruning (Zhang et al. 2018, arXiv:1804.03294; YOLObile, Cai et al. 2021): the loss plus
    rho / 2 |W - Z + U|^2, where now and then Z = project(W + U) and U += W - Z; then hard masks.

    rho rises tenfold in each of four steps, from `rho` to 1000 times that.
    """

    RISES = 4

    def __init__(self, targets: Sequence[Target], rho: float = 1e-4, stages: int = 12, share: float = 0.5) -> None:
        super().__init__(targets, stages, share)
        if not rho > 0:
            raise UsageError(f"rho is above 0, got {rho:g}")
        self.first_rho = rho
        self.z: dict[str, torch.Tensor] = {}
        self.u = {target.name: torch.zeros_like(target.weight) for target in targets}
        self._project()

    @property
    def rho(self) -> float:
        """The penalty's factor now."""
        return self.first_rho * 10 ** min(self.RISES - 1, self.RISES * self.stage // self.stages)

    @torch.no_grad()
    def _project(self) -> None:
        for target in self.targets:
            near = target.weight + self.u[target.name].to(target.weight.device)
            self.z[target.name] = near * target.mask(near)

    def penalty(self) -> torch.Tensor | None:
        if self.final:
            return None
        gaps = [
            (target.weight - (self.z[target.name] - self.u[target.name]).to(target.weight.device)).square().sum()
            for target in self.targets
        ]
        return self.rho / 2 * torch.stack(gaps).sum() if gaps else None

    @torch.no_grad()
    def act(self) -> None:
        if self.final:
            self.harden()
            self.z, self.u = {}, {}
            return
        self._project()
        for target in self.targets:
            self.u[target.name] = self.u[target.name].to(target.weight.device) + target.weight - self.z[target.name]

    def tensors(self) -> dict[str, torch.Tensor]:
        pairs = {f"z.{name}": tensor for name, tensor in self.z.items()}
        return {**pairs, **{f"u.{name}": tensor for name, tensor in self.u.items()}}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.z = {name.removeprefix("z."): tensor for name, tensor in tensors.items() if name.startswith("z.")}
        self.u = {name.removeprefix("u."): tensor for name, tensor in tensors.items() if name.startswith("u.")}


class Reweighted(_Staged):
    """Reweighted group lasso (Ma et al. 2020, arXiv:2001.08357): the loss plus strength x sum over the units of
    P_g |W_g|^2, with P_g = 1 / (|W_g|^2 + eps) as of the last stage; then hard masks.

    Right after a stage the penalty is at most `strength`: units count by their mean, and are averaged.
    """

    def __init__(
        self, targets: Sequence[Target], strength: float = 0.1, stages: int = 12, share: float = 0.5, eps: float = 0.01
    ) -> None:
        """`eps` is relative to the mean of a layer's units."""
        super().__init__(targets, stages, share)
        if not (strength > 0 and eps > 0):
            raise UsageError(f"strength and eps are above 0, got {strength:g} and {eps:g}")
        self.strength, self.eps = strength, eps
        self.total = sum(prod(target.weight.shape) for target in targets)
        self.weights: dict[str, torch.Tensor] = {}
        self._reweight()

    @torch.no_grad()
    def _reweight(self) -> None:
        for target in self.targets:
            energy = target.unordered(energies(target.ordered(target.weight.detach()), target.sparsity))
            self.weights[target.name] = 1 / (energy + self.eps * energy.mean().clamp(min=1e-30))

    def penalty(self) -> torch.Tensor | None:
        if self.final or not self.targets:
            return None
        terms = [
            (self.weights[target.name].to(target.weight.device) * target.weight.square()).sum()
            for target in self.targets
        ]
        return self.strength / self.total * torch.stack(terms).sum()

    def act(self) -> None:
        if self.final:
            self.harden()
            self.weights = {}
        else:
            self._reweight()

    def tensors(self) -> dict[str, torch.Tensor]:
        return dict(self.weights)

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.weights = dict(tensors)
