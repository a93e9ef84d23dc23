"""A network with random weights made fit to learn: ConvUnit's weights are drawn for timing and verification."""

from __future__ import annotations

import torch
from torch import nn

from models.networks.units import ConvUnit, StagedNetwork


@torch.no_grad()
def calm(network: nn.Module) -> None:
    """Let every map begin as 0, not as noise that is unlearnt first, and every residual branch as small as it was
    meant: a norm undoes the gain of the weights before it, so the norm itself takes it."""
    for module in network.modules():
        if isinstance(module, ConvUnit) and module.bn is not None:
            module.bn.weight.fill_(module.gain)
    if not isinstance(network, StagedNetwork):
        return
    for stage in (network.initial_stage, *network.refinement_stages):
        for branch in (stage.heatmaps, stage.pafs):
            last = [module for module in branch.modules() if isinstance(module, ConvUnit)][-1].conv
            last.weight.zero_()
            if last.bias is not None:
                last.bias.zero_()
