"""Which of two dense kernels of a layer is faster, learnt from the ratio of their times itself: Winograd or direct.

Each of two predictions errs by what its class of kernel is like, and their ratio by both. The ratio alone is smooth in
few sizes: of channels in and out, and of pixels. So a quadratic form of their logarithms, of whether arithmetic is in
half precision and of what tiles of 4 x 4 pixels waste, is fitted by ridge regression (Hoerl and Kennard 1970). Rows
count by the square root of their time, since a wrong choice costs time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from latency.dataset.sample import Sample
from models.plans.log_spread import LogSpread

#: layers of a kind of pair that a form is fitted to, at least
LEAST_LAYERS = 30
#: weight of the squared coefficients, of inputs in standard deviations
PENALTY = 3.0
#: sides of a tile
TILE = 4
#: channels, filters and tiles whose logarithms are 0, so that squares and products say something of their own
USUAL_SIZES = (128, 128, 128)
#: what a form has: sizes, precision and waste, and their squares and products
INPUTS = 6 + 21
#: no coefficient of a form that was fitted is as large
MOST = 1e4


@dataclass(frozen=True)
class KernelRatio:
    """log(ms of one class of kernel / ms of another) of a layer.

    Attributes:
        classes: the two.
        coefficients: of each input; intercept: without any.
        low, high: the least and the greatest that was fitted on; none beyond is answered.
        spread: what it was off by on layers that were held out.
    """

    classes: tuple[str, str]
    coefficients: tuple[float, ...]
    intercept: float
    low: float
    high: float
    spread: LogSpread

    def __post_init__(self) -> None:
        if len(self.coefficients) != INPUTS or max(map(abs, (*self.coefficients, self.intercept))) > MOST:
            raise ValueError(f"a ratio of kernels has not {INPUTS} coefficients up to {MOST:g}")
        if self.low > self.high or not (0 <= self.spread.scale < math.inf and self.spread.freedom > 1):
            raise ValueError("the range or the spread of a ratio of kernels is none")

    @classmethod
    def fit(cls, classes: tuple[str, str], samples: Sequence[Sample], logs: np.ndarray, ms: np.ndarray) -> KernelRatio:
        """Fit to layers (n) with the log of their ratio and the shorter of both times. Its spread is 0: what it is off
        by has to be found on other layers."""
        inputs, weights = _inputs(samples), np.sqrt(ms / ms.mean())[:, None]
        scale = np.where(np.ptp(inputs, 0) > 0, inputs.std(0), 1.0)
        centre, middle = np.average(inputs, 0, weights[:, 0]), float(np.average(logs, weights=weights[:, 0]))
        apart = (inputs - centre) / scale
        normal = (weights * apart).T @ apart + PENALTY * np.eye(INPUTS)
        coefficients = np.linalg.solve(normal, (weights * apart).T @ (logs - middle)) / scale
        intercept = middle - float(centre @ coefficients)
        bounds = float(logs.min()), float(logs.max())
        return cls(classes, tuple(map(float, coefficients)), intercept, *bounds, LogSpread(0.0))

    def predict(self, samples: Sequence[Sample]) -> np.ndarray:
        """The logarithm (n) of the first class's time over the second's."""
        return np.clip(_inputs(samples) @ np.array(self.coefficients) + self.intercept, self.low, self.high)


def takes(sample: Sample) -> bool:
    """Whether a sample is a dense convolution, which ratios are learnt of."""
    return sample.layer.op == "conv" and sample.sparsity is None


def _inputs(samples: Sequence[Sample]) -> np.ndarray:
    """(n, INPUTS): logarithms of channels, filters, tiles and what tiles waste, half precision, widened arithmetic;
    then their squares and products."""
    rows = []
    for sample in samples:
        (channels, *_), (filters, height, width) = sample.layer.in_shapes[0], sample.layer.out_shape
        tiles = math.ceil(height / TILE) * math.ceil(width / TILE)
        sizes = [math.log(size / usual) for size, usual in zip((channels, filters, tiles), USUAL_SIZES, strict=True)]
        waste = math.log(tiles * TILE**2 / (height * width))
        plain = [*sizes, waste, float(sample.dtype == "float16"), float(bool(sample.widened))]
        rows.append([*plain, *(first * second for first, second in combinations_with_replacement(plain, 2))])
    return np.array(rows, np.float64).reshape(-1, INPUTS)
