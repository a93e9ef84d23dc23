"""One layer solved anew: which weights stay, and what they become, so that its output stays what it was.

Before a ReLU only what survives it counts: where the dense output is negative, any negative one is as good. So targets
are moved there, in turn with the solution, which leaves H as it is (the problem is that of Zhang et al. 2016,
arXiv:1505.06798).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from models.graph.layer import Layer
from models.plans.sparsity import Sparsity, WeightShape
from models.prune.reconstruction.problem import Problem
from models.prune.reconstruction.selection import select
from models.prune.reconstruction.surgeon import Solver


@dataclass(frozen=True)
class ReconstructionSettings:
    """How layers are reconstructed.

    Attributes:
        samples: output positions each layer is solved on, drawn from all calibration inputs; layers of several groups,
            which have few columns each, take a quarter.
        ridge: pull towards the old weights, relative to the mean of H's diagonal.
        share: of the units that are left, so many are removed between two looks at the costs.
        rectify: how often the targets before a ReLU are moved.
        attention: of the samples, so many are drawn by how much their position matters
            (models.prune.reconstruction.importance), the
            others evenly; 0 also takes all filters of a layer for equally important.
        compensate: solve dense layers anew, too, once their inputs have changed.
        seed: of the samples.
    """

    samples: int = 8_000
    ridge: float = 1e-3
    share: float = 0.1
    rectify: int = 5
    compensate: bool = True
    attention: float = 0.7
    seed: int = 0


DEFAULTS = ReconstructionSettings()
#: settings by the names of models.prune.settings.RECONSTRUCTIONS
EFFORTS = {"full": DEFAULTS, "quick": ReconstructionSettings(samples=3_000, rectify=1, attention=0.0)}


def solve_layer(
    layer: Layer,
    sparsity: Sparsity | None,
    drawn: Problem,
    settings: ReconstructionSettings,
    importance: np.ndarray | None = None,
) -> dict[str, torch.Tensor]:
    """The layer's new weight and bias, by their names in the graph; `importance` as for `select`."""
    with torch.inference_mode():
        if layer.groups == 1:
            return name_tensors(layer, _solve_one(layer.weight_shape, sparsity, drawn, settings, importance))
        return name_tensors(layer, _solve_groups(drawn, settings))


def name_tensors(layer: Layer, solution: torch.Tensor) -> dict[str, torch.Tensor]:
    """(groups, filters, columns) as the layer's weight and bias, float32, by their names in the graph."""
    columns = prod(layer.weight_shape[1:])
    new = solution.flatten(0, 1).float()
    result = {f"{layer.name}.weight": new[:, :columns].reshape(layer.weight_shape).contiguous()}
    return {**result, f"{layer.name}.bias": new[:, columns].contiguous()} if layer.bias else result


def _solve_one(
    shape: WeightShape,
    sparsity: Sparsity | None,
    drawn: Problem,
    settings: ReconstructionSettings,
    importance: np.ndarray | None,
) -> torch.Tensor:
    """(1, filters, columns) of a layer of one group."""
    h, ridge = inputs_moment(drawn, settings.ridge)
    g = cross_moment(drawn, drawn.targets, ridge)
    kept = None
    if sparsity is not None:
        kept = select(h[0].numpy(), g[0].numpy(), sparsity, shape, settings.share, importance).mask(sparsity)
    return solve_with(kept, drawn, h, ridge, settings.rectify)


def solve_with(
    kept: np.ndarray | None, drawn: Problem, h: torch.Tensor, ridge: torch.Tensor, rectify: int
) -> torch.Tensor:
    """(1, filters, columns) of a layer of one group, zero where `kept`, bool of the weight's shape, is false."""
    columns = np.ones((drawn.old.shape[1], drawn.old.shape[2]), bool)
    if kept is not None:
        columns[:, : prod(kept.shape[1:])] = kept.reshape(len(kept), -1)
    solver = Solver(h[0].numpy(), columns)
    return _rectify(drawn, ridge, lambda cross: torch.from_numpy(solver(cross[0].numpy()))[None], rectify)


def _solve_groups(drawn: Problem, settings: ReconstructionSettings) -> torch.Tensor:
    """(groups, filters, columns) of a layer of several groups, dense."""
    h, ridge = inputs_moment(drawn, settings.ridge)
    factor = torch.linalg.cholesky(h)
    return _rectify(
        drawn, ridge, lambda cross: torch.cholesky_solve(cross.mT, factor).mT.contiguous(), settings.rectify
    )


def _rectify(
    drawn: Problem, ridge: torch.Tensor, solve: Callable[[torch.Tensor], torch.Tensor], rounds: int
) -> torch.Tensor:
    """The least-squares solution, (groups, filters, columns), then `rounds` of moved targets where a ReLU comes next.

    A round is a gradient step preconditioned by inv(H), on a convex function, so Nesterov's momentum makes it faster.
    """
    before = solution = solve(cross_moment(drawn, drawn.targets, ridge))
    for count in range(rounds if drawn.rectified else 0):
        ahead = solution + count / (count + 3) * (solution - before)
        before, solution = solution, solve(cross_moment(drawn, drawn.move_targets(ahead), ridge))
    return solution


def inputs_moment(drawn: Problem, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """H per sample, (groups, columns, columns) float64, with its ridge; and what was added, (groups, 1, 1).

    Args:
        ridge: as in ReconstructionSettings.
    """
    plain = (drawn.inputs.transpose(1, 2) @ drawn.inputs).double() / drawn.samples
    diagonal = plain.diagonal(dim1=1, dim2=2)
    added = (ridge * diagonal.mean(dim=1)).clamp(min=1e-12)[:, None, None]
    return plain + added * torch.eye(plain.shape[1], dtype=plain.dtype), added


def cross_moment(drawn: Problem, targets: torch.Tensor, ridge: torch.Tensor) -> torch.Tensor:
    """G per sample, (groups, filters, columns) float64, with the ridge's pull towards the old weights."""
    return (targets.transpose(1, 2) @ drawn.inputs).double() / drawn.samples + ridge * drawn.old
