"""Muon (Jordan 2024): momentum whose matrices are made orthogonal, so that every direction is learnt equally fast.

For the weights of convolutions as (outputs, inputs x kernel) matrices; everything else takes AdamW's steps. torch's own
Muon takes no convolutions and computes in bfloat16, which CPUs without it emulate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

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
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One step; there is no closure."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    rows = parameter.shape[0]
                    by_shape.setdefault((rows, parameter.numel() // rows), []).append(parameter)
            for parameters in by_shape.values():  # matrices of one shape together: a GPU waits for launches otherwise
                updates = orthogonal(torch.stack([self._direction(weight, group["momentum"]) for weight in parameters]))
                step = group["lr"] * _RMS * max(updates.shape[1:]) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.view_as(parameter), alpha=-step)

    def _direction(self, parameter: nn.Parameter, decay: float) -> torch.Tensor:
        """The gradient with Nesterov momentum, as a matrix."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        momentum = state["momentum"].lerp_(parameter.grad, 1 - decay)
        return parameter.grad.lerp(momentum, decay).flatten(1)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """About U V^T of each matrix U S V^T of (..., rows, columns), by a Newton-Schulz iteration; the shape stays."""
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    x = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrices else x.mT
