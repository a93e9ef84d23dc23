"""A network of the zoo traced and run in float64, beside PyTorch in float64."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from models.graph.answer import apply_view
from models.graph.network import Graph


def picture(shape: tuple[int, int, int], seed: int = 1) -> np.ndarray:
    """(1, *shape) float32, standard normal."""
    return np.random.default_rng(seed).standard_normal((1, *shape)).astype(np.float32)


def exact_outputs(module: nn.Module, x: np.ndarray) -> list[np.ndarray]:
    """What `module` answers in float64, flat."""
    with torch.no_grad():
        answer = copy.deepcopy(module).double()(torch.from_numpy(x).double())
    return [tensor.numpy() for tensor in torch.utils._pytree.tree_leaves(answer)]


def as_module_returns(graph: Graph, maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A graph's outputs, (1, C, H, W) each, in the shapes that its module returns."""
    views = graph.answer.views or ((),) * len(maps)
    return [apply_view(array, view) for array, view in zip(maps, views, strict=True)]


def largest_error(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference over all outputs, each relative to the largest magnitude of what is expected.

    Raises:
        ValueError: their number or their shapes differ, or what is expected is not finite.
    """
    shapes = [[array.shape for array in arrays] for arrays in (outputs, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"shapes {shapes[0]}, PyTorch's {shapes[1]}")
    if not all(np.isfinite(array).all() for array in expected):
        raise ValueError("PyTorch's outputs are not finite")
    scales = [max(float(np.abs(array).max()), 1e-30) for array in expected]
    errors = [float(np.abs(ours - theirs).max()) for ours, theirs in zip(outputs, expected, strict=True)]
    return max(error / scale for error, scale in zip(errors, scales, strict=True))
