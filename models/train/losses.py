"""What a training minimises; all terms are means over a view's cells, so that they mean the same at every crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

Maps = Sequence[torch.Tensor]


def map_loss(stages: Maps, heatmaps: torch.Tensor, pafs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Half the weighted squared error per cell, summed over channels and stages, mean over views and cells.

    Lightweight OpenPose's loss (Osokin 2018) divided by the number of cells; a scalar.

    Args:
        stages: [heatmaps 0, PAFs 0, heatmaps 1, ...], each (N, C, h, w).
        heatmaps, pafs: what every stage should have given.
        weight: (N, 1, h, w).
    """
    cells = weight.numel()
    targets = (heatmaps, pafs)
    terms = [((maps.float() - targets[index % 2]).square() * weight).sum() for index, maps in enumerate(stages)]
    return torch.stack(terms).sum() / (2 * cells)


def hint_loss(features: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The fraction of the teacher's features' variance that is not explained, mean over places; a scalar, 1 at best
    guess of a constant."""
    terms = []
    for name, found in features.items():
        wanted = teacher[name].float()
        spread = (wanted - wanted.mean(dim=(0, 2, 3), keepdim=True)).square().mean()
        terms.append((found.float() - wanted).square().mean() / spread.clamp(min=1e-12))
    return torch.stack(terms).mean()
