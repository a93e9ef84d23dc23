"""One layer solved anew: which weights stay, and what they become, so that its output stays what it was.

Before a ReLU only what survives it counts: where the dense output is negative, any negative one is as good. So targets
are moved there, in turn with the solution, which leaves H as it is (the problem is that of Zhang et al. 2016,
arXiv:1505.06798).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from models.graph.layer import Layer
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.problem import Problem
from models.prune.reconstruction.selection import Selection, join_selections, select
from models.prune.reconstruction.surgeon import Solver
from models.prune.reconstruction.uses import WeightUse, join, split


@dataclass(frozen=True)
class ReconstructionSettings:
    """How layers are reconstructed.

    Attributes:
        samples: output positions each layer is solved on, drawn from all calibration inputs; layers of several groups
            with few columns each take less, down to a quarter, layers of many columns as many as MOST_INPUTS allows;
            layers that share a weight share them. Masks and weights fit the samples that they were found on: on
            human_pose_0001, with half of the columns of five 1x1 layers of 512 channels gone, the outputs of others
            diverge by 0.083 with 8,000 samples, 0.049 with 24,000 and 0.042 with 48,000.
        ridge: pull towards the old weights, relative to the mean of H's diagonal.
        share: of the units that are left, so many are removed between two looks at the costs.
        rectify: how often the targets before a ReLU are moved.
        attention: of the samples, so many are drawn by how much their position matters
            (models.prune.reconstruction.importance), the
            others evenly; 0 also takes all filters of a layer for equally important.
        compensate: solve dense layers anew, too, once their inputs have changed.
        seed: of the samples.
    """

    samples: int = 32_000
    ridge: float = 1e-3
    share: float = 0.1
    rectify: int = 5
    compensate: bool = True
    attention: float = 0.7
    seed: int = 0


#: positions for each column of a layer of several groups, if that is less than `samples`
SAMPLES_OF_COLUMN = 20
#: numbers in the inputs of one layer's problem, at most (1 GiB)
MOST_INPUTS = 1 << 28
DEFAULTS = ReconstructionSettings()
#: settings by the names of models.prune.settings.RECONSTRUCTIONS
EFFORTS = {"full": DEFAULTS, "quick": ReconstructionSettings(samples=3_000, rectify=1, attention=0.0)}


def solve_uses(
    uses: Sequence[WeightUse],
    sparsity: Sparsity | None,
    settings: ReconstructionSettings,
    importance: np.ndarray | None = None,
) -> dict[str, dict[str, torch.Tensor]]:
    """The new weight and bias of the layers that have one weight, by layer and by their names in the graph.

    Args:
        importance: as for `select`.
    """
    layer, drawn = uses[0].layer, join(uses)
    with torch.inference_mode():
        if sparsity is None and layer.groups > 1:
            return split(uses, _solve_groups(drawn, settings))
        h, ridge = inputs_moment(drawn, settings.ridge)
        kept = None
        if sparsity is not None:
            g = cross_moment(drawn, drawn.targets, ridge)
            kept = order_units(layer, h, g, sparsity, settings.share, importance).mask(sparsity)
        return split(uses, solve_with(kept, drawn, h, ridge, settings.rectify))


def order_units(
    layer: Layer,
    h: torch.Tensor,
    g: torch.Tensor,
    sparsity: Sparsity,
    share: float,
    importance: np.ndarray | None = None,
) -> Selection:
    """The order in which a layer's units go, each group of the convolution by its own inputs; arguments as for
    `select`, h and g of every group."""
    filters, (channels, *taps) = layer.weight_shape[0] // layer.groups, layer.weight_shape[1:]
    parts = [
        select(
            h[group].numpy(),
            g[group].numpy(),
            sparsity,
            (filters, channels, taps[0], taps[1]),
            share,
            None if importance is None else importance[group * filters : (group + 1) * filters],
        )
        for group in range(layer.groups)
    ]
    return join_selections(layer.weight_shape, parts)


def solve_with(
    kept: np.ndarray | None, drawn: Problem, h: torch.Tensor, ridge: torch.Tensor, rectify: int
) -> torch.Tensor:
    """(groups, filters, columns) of a layer, zero where `kept`, bool of the weight's shape, is false."""
    groups, filters, width = drawn.old.shape
    columns = np.ones((groups, filters, width), bool)
    if kept is not None:
        columns[:, :, : prod(kept.shape[1:])] = kept.reshape(groups, filters, -1)
    solvers = [Solver(h[group].numpy(), columns[group]) for group in range(groups)]

    def solve(cross: torch.Tensor) -> torch.Tensor:
        solved = [solver(cross[group].numpy()) for group, solver in enumerate(solvers)]
        return torch.from_numpy(np.stack(solved))

    return _rectify(drawn, ridge, solve, rectify)


def _solve_groups(drawn: Problem, settings: ReconstructionSettings) -> torch.Tensor:
    """(groups, filters, columns) of a layer of several groups, dense."""
    h, ridge = inputs_moment(drawn, settings.ridge)
    factor = torch.linalg.cholesky(h)
    return _rectify(
        drawn, ridge, lambda cross: torch.cholesky_solve(cross.mT, factor).mT.contiguous(), settings.rectify
    )


def samples_of(layer: Layer, settings: ReconstructionSettings, uses: int = 1) -> int:
    """Positions to draw of a layer whose weight has so many uses."""
    columns = prod(layer.weight_shape[1:])
    samples = min(settings.samples, MOST_INPUTS // (layer.groups * columns))
    if layer.groups > 1:
        samples = min(samples, max(samples // 4, SAMPLES_OF_COLUMN * columns))
    return max(1, samples // uses)


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
