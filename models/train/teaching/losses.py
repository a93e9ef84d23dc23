"""What a training minimises; all terms are means over a view's cells, so that they mean the same at every crop."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch

Maps = Sequence[torch.Tensor]

#: Of the mean variance of all channels, what is added to each one's.
_LEAST_VARIANCE = 1e-2


def map_loss(stages: Maps, targets: Maps, weight: torch.Tensor) -> torch.Tensor:
    """Half the weighted squared error per cell, summed over channels and stages, mean over views and cells.

    Lightweight OpenPose's loss (Osokin 2018) divided by the number of cells; a scalar.

    Args:
        stages: [heatmaps 0, PAFs 0, heatmaps 1, ...], each (N, C, h, w).
        targets: as `stages`, what each should have given; or [heatmaps, PAFs], what every stage should have.
        weight: (N, 1, h, w).
    """
    cells = weight.numel()
    pairs = zip(stages, itertools.cycle(targets), strict=False)
    terms = [((maps.float() - target).square() * weight).sum() for maps, target in pairs]
    return torch.stack(terms).sum() / (2 * cells)


def hint_loss(
    features: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor], *, alike: bool = False
) -> torch.Tensor:
    """Mean squared error against the teacher's features, each channel standardised over the batch; a scalar.

    Mean over places, too. It is the unexplained fraction of the variance: 1 for the best constant. Standardised, the
    features of any teacher are as far from an adaptor's random start, and all channels count.

    Args:
        features: place -> (N, C, h, w), what the pupil makes of the teacher's standardised features; or, `alike`, of
            the features as they are.
        teacher: place -> (N, C, h, w).
    """
    terms = []
    for name, values in features.items():
        answer = standardise(values, teacher[name]) if alike else values.float()
        terms.append((answer - standardise(teacher[name])).square().mean())
    return torch.stack(terms).mean()


def standardise(features: torch.Tensor, by: torch.Tensor | None = None) -> torch.Tensor:
    """(N, C, h, w) with mean 0 and variance 1 in every channel; those that hardly vary are not blown up to that.

    Args:
        by: features whose mean and variance count; None: their own.
    """
    counted = (features if by is None else by).float()
    variance, mean = torch.var_mean(counted, dim=(0, 2, 3), correction=0, keepdim=True)
    return (features.float() - mean) * torch.rsqrt(variance + _LEAST_VARIANCE * variance.mean() + 1e-12)
