"""The moving average of a network's weights, which is better than any of the weights it is of."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """An exponential moving average of all floating-point parameters and buffers of `network`.

    Early on the decay is (1 + steps) / (10 + steps) where that is less, so that the random start is soon forgotten.

    Attributes:
        network: a copy of the network with the averaged values, in eval mode.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the values of `network` after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floating = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in floating], [theirs[name] for name in floating], 1 - decay)
        for name in mine.keys() - set(floating):
            mine[name].copy_(theirs[name])
