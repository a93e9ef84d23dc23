"""Whether one weight is another one times factors of its filters and factors of its channels; NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: turns in which factors of both axes are found, and how exactly they have to be right, relative to the largest weight
TURNS, TOLERANCE = 4, 1e-5

Factors = tuple[np.ndarray, np.ndarray]


def factors_between(
    own: np.ndarray,
    weight: np.ndarray,
    tolerance: float = TOLERANCE,
    least: float | None = None,
    likely: np.ndarray | None = None,
) -> Factors | None:
    """(factors of the filters (out,), factors of the channels (in / groups,)) that make `own` the weight; None where
    there are none.

    Args:
        own, weight: (out, in / groups, kernel height, kernel width).
        tolerance: relative to each weight.
        least: a difference that is none; None: `tolerance` of the largest weight.
        likely: factors of the filters, (out,), such as a batch norm's; filters of zeros keep theirs. None: ones.
    """
    if own.shape != weight.shape:
        return None
    least = tolerance * float(np.abs(weight).max(initial=0.0)) if least is None else least
    start = np.ones(own.shape[0]) if likely is None else likely
    for filters, channels in _candidates(own, weight, start):
        if np.allclose(_scale(own, filters, channels), weight, rtol=tolerance, atol=least):
            return filters, channels
    return None


def _candidates(own: np.ndarray, weight: np.ndarray, likely: np.ndarray) -> Iterator[Factors]:
    """Likely ones first: as they are, with others of the filters, with others of the channels, with both in turn."""
    ones = np.ones(own.shape[1])
    yield likely, ones
    yield likely * _ratio(_scale(own, likely, ones), weight, (1, 2, 3)), ones
    filters, channels = likely, ones
    for _ in range(TURNS):
        channels = channels * _ratio(_scale(own, filters, channels), weight, (0, 2, 3))
        yield filters, channels
        filters = filters * _ratio(_scale(own, filters, channels), weight, (1, 2, 3))
        yield filters, channels


def _scale(own: np.ndarray, filters: np.ndarray, channels: np.ndarray) -> np.ndarray:
    return own * filters[:, None, None, None] * channels[None, :, None, None]


def _ratio(own: np.ndarray, weight: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The least squares factors between two weights, one for each place along the remaining axis; 1 where all is 0."""
    square = np.square(own, dtype=np.float64).sum(axes)
    return np.divide((own * weight).sum(axes), square, out=np.ones_like(square), where=square > 0)
