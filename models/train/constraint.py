"""What a pruning method is to the training loop: something added to the loss, and something done after each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn


class Constraint(Protocol):
    """Made by its owner for one network whose parameters it holds on to; `models.train.loop.train` calls it.

    Training moves the network's parameters to its device before the first call; they stay the same objects.
    With several processes each has its own, on equal parameters: what it does must follow from these alone.
    """

    def penalty(self) -> torch.Tensor | None:
        """A scalar added to every step's loss; None adds nothing."""

    def after_step(self, progress: float) -> None:
        """After the optimizer's step: masks are applied again, dual variables move.

        progress: the fraction of the training that is done, 0 to 1; the last call is at 1.
        """

    def project(self, model: nn.Module) -> None:
        """Set to zero, in any copy of the network, what is masked by now; before there are masks, nothing."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: tensors and plain values, by name."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
