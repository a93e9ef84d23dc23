"""Muon (Jordan 2024): momentum whose matrices are made orthogonal, so that every direction is learnt equally fast.

For the weights of convolutions as (outputs, inputs x kernel) matrices; everything else takes AdamW's steps. torch's own
Muon takes no convolutions and computes in bfloat16, which CPUs without it emulate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

#: Coefficients of the quintic iteration, and how often it is applied: singular values end between 0.7 and 1.2.
_QUINTIC, _ITERATIONS = (3.4445, -4.7750, 2.0315), 5
#: Root mean square of an update relative to the learning rate, about AdamW's (Liu et al. 2025, "Muon is scalable").
_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay.

    Args:
        params: parameters or groups, of two dimensions or more; the first is a matrix's rows.
        lr, weight_decay: as AdamW's.
        momentum: of the averaged gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        weight_decay: float = 1e-2,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; there is no closure."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonal(parameter.grad.lerp(momentum, group["momentum"]).flatten(1))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view_as(parameter), alpha=-group["lr"] * _RMS * max(update.shape) ** 0.5)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """About U V^T of a matrix U S V^T, by a Newton-Schulz iteration; the shape stays."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrix else x.T
