"""Which weights a recovery takes in the end: the best ones between those of before and those it has come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from models.prune.recovery.free_weights import FreeWeights

#: how far from the start they may lie
PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def take_best(
    free: FreeWeights, start: Mapping[str, torch.Tensor], judge: Callable[[], float]
) -> tuple[float, float, float]:
    """Of the weights between `start`, values of before, and now, take those that `judge` finds the smallest error of.

    Steps are noisy, so the best weights often lie on the way; and where `judge` looks at views that nothing was learnt
    from, no recovery ends worse than it began.

    Returns:
        How far from `start` they are, 0 to 1, the error of `start`, and theirs.
    """
    end, errors = free.values(), dict[float, float]()
    for part in PARTS:
        free.take({name: torch.lerp(value, end[name], part) for name, value in start.items()})
        errors[part] = judge()
    best = min(errors, key=lambda part: (not np.isfinite(errors[part]), errors[part]))
    free.take({name: torch.lerp(value, end[name], best) for name, value in start.items()})
    return best, errors[0.0], errors[best]
