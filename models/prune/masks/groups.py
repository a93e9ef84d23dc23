"""The units of a sparsity as groups of a lasso: how large each weight's group is."""

from __future__ import annotations

import torch

from models.plans.sparsity import Sparsity
from models.prune.masks.build import spread


def energies(weight: torch.Tensor, sparsity: Sparsity) -> torch.Tensor:
    """The mean square of each weight's unit, in the weight's shape (out, in, height, width).

    Under "pattern" a weight is in two groups, its kernel and itself; the answer is what 1 / (sum of 1 / each) makes of
    the two, so that the smaller decides.
    """
    squares = weight.double().square()
    if sparsity.pattern == "pattern":
        kernel = squares.mean(dim=(2, 3), keepdim=True).expand_as(squares)
        return (kernel * squares / (kernel + squares).clamp(min=1e-300)).to(weight.dtype)
    out, channels, height, width = weight.shape
    values = squares.reshape(out, channels, height * width)
    if sparsity.pattern == "connectivity":
        values = values.mean(dim=2, keepdim=True)
    means = _block_means(_block_means(values, 0, sparsity.block[0]), 1, sparsity.block[1])
    return torch.from_numpy(spread(means.cpu().numpy(), sparsity, (out, channels, height, width)).copy()).to(weight)


def _block_means(values: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    """Means over runs of `size`; the last run may be shorter."""
    return torch.cat([block.mean(dim=dim, keepdim=True) for block in values.split(size, dim=dim)], dim=dim)
