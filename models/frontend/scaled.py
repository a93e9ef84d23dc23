"""Whether one weight is another one times factors of its filters and factors of its channels; NumPy alone."""

from __future__ import annotations

import numpy as np

#: turns in which factors of both axes are found, and how exactly they have to be right, relative to the largest weight
TURNS, TOLERANCE = 4, 1e-5


def factors_between(
    own: np.ndarray, weight: np.ndarray, tolerance: float = TOLERANCE
) -> tuple[np.ndarray, np.ndarray] | None:
    """(factors of the filters (out,), factors of the channels (in / groups,)) that make `own` the weight; None where
    there are none.

    Args:
        own, weight: (out, in / groups, kernel height, kernel width).
        tolerance: relative to the largest weight.
    """
    if own.shape != weight.shape:
        return None
    filters, channels = np.ones(own.shape[0]), np.ones(own.shape[1])
    near, most = own, tolerance * np.abs(weight).max(initial=0.0)
    for _ in range(TURNS):
        for axes in ((1, 2, 3), (0, 2, 3)):
            square = np.square(near, dtype=np.float64).sum(axes)
            factor = np.divide((near * weight).sum(axes), square, out=np.ones_like(square), where=square > 0)
            if axes[0]:
                filters, near = filters * factor, near * factor[:, None, None, None]
            else:
                channels, near = channels * factor, near * factor[None, :, None, None]
            if np.allclose(near, weight, rtol=tolerance, atol=most):
                return filters, channels
    return None
