"""A model of a device of which none to some dozens of layers were timed: other devices' times, corrected.

    log ms = weighted mean over the other devices of log ms + correction

The correction is a Gaussian process (Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 2.23 to 2.24)
whose kernel says how devices differ: by a factor, by one for each class of kernel and each dtype, by slopes along the
logarithms of work and traffic, by leaning to one of the others more than to the rest, and by what is alike for similar
layers. Its variances are constants, set on six GPUs' tuned kernels, of which each in turn was the unknown one: the
error hardly moves when they do. Where there are samples, half of the logarithm is that of physical terms and the
others' times, fitted to them (`latency.cost_model.physical`).

It knows inputs and milliseconds, and neither files nor layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from fleetpose.codec import check_entries, decode
from fleetpose.errors import DataError
from latency.cost_model.feature_names import NAMES
from latency.cost_model.model import Inputs
from latency.cost_model.physical import PhysicalModel
from latency.cost_model.smooth import matern

#: columns whose logarithms a device may have slopes along -> (middle, spread) of these among tuned layers of phones
LOGS = {
    "group_channels": (4.7, 2.1), "cout": (5.1, 1.1), "out_pixels": (6.2, 2.5), "taps": (0.9, 1.1),
    "macs_kept": (16.9, 2.5), "bytes_all": (14.3, 1.6), "bytes_weights": (11.7, 2.3), "intensity": (2.6, 1.6),
}  # fmt: skip
#: columns that tell dtypes apart, and further ones by which layers are alike
DTYPES = ("half", "wide_sums", "wide_products")
ALIKE = ("stride", "kept")
#: variances of log ms: of a device's factor, at most where there are samples, of a class, of a dtype, of both together,
#: along a slope, along one of a class, of leaning to another device, of similar layers, of similar layers of a class,
#: and of what no other layer tells
FACTOR, CLASS, DTYPE, BOTH = 1.0, 0.1, 0.05, 0.02
SLOPE, CLASS_SLOPE, LEANING, SURFACE, CLASS_SURFACE, NOISE = 0.03, 0.03, 0.05, 0.04, 0.02, 0.012
#: where next to nothing is known, a prediction is not put lower than by this
MOST_SHIFT = 0.3
#: similar layers are so many spreads apart, as a log
LENGTH = log(3.0)
#: samples from which on physical terms are fitted
LEAST_FOR_PHYSICS = 5


@dataclass(frozen=True)
class KernelInputs:
    """What the correction is told of layers: scaled logarithms (n, LOGS), all that says which are alike (n, inputs),
    the other devices' leanings (n, bases), classes (n) and dtypes (n)."""

    logs: np.ndarray
    alike: np.ndarray
    leanings: np.ndarray
    kernels: np.ndarray
    dtypes: np.ndarray

    @classmethod
    def of(cls, inputs: Inputs, weights: np.ndarray) -> KernelInputs:
        """The same of a model's inputs, which have other devices' times; the weights (bases) of these add up to 1."""
        columns = {name: inputs.features[:, NAMES.index(name)] for name in (*LOGS, *DTYPES, *ALIKE)}
        logs = np.column_stack([
            (np.log(np.maximum(columns[name], 1e-9)) - middle) / spread for name, (middle, spread) in LOGS.items()
        ])  # fmt: skip
        others = np.log(inputs.others)
        dtypes = sum(columns[name] * 2**place for place, name in enumerate(DTYPES))
        alike = np.column_stack([logs, *(columns[name] for name in ALIKE)])
        return cls(logs, alike, others - (others @ weights)[:, None], np.array(inputs.kernels, object), dtypes)

    def covariance(self, other: KernelInputs, factor: float) -> np.ndarray:
        """Of the corrections of these layers and others (n, m); `factor` is the variance of the device's own."""
        same_class = self.kernels[:, None] == other.kernels[None]
        same_dtype = self.dtypes[:, None] == other.dtypes[None]
        surface = matern(self.alike, other.alike, LENGTH)
        return (
            factor + CLASS * same_class + DTYPE * same_dtype + BOTH * (same_class & same_dtype)
            + (self.logs @ other.logs.T) * (SLOPE + CLASS_SLOPE * same_class) / len(LOGS)
            + LEANING * self.leanings @ other.leanings.T + surface * (SURFACE + CLASS_SURFACE * same_class)
        )  # fmt: skip

    def variance(self, factor: float) -> np.ndarray:
        """The diagonal of the layers' covariance with themselves (n)."""
        slopes = (self.logs**2).sum(1) * (SLOPE + CLASS_SLOPE) / len(LOGS)
        leanings = LEANING * (self.leanings**2).sum(1)
        return factor + CLASS + DTYPE + BOTH + SURFACE + CLASS_SURFACE + slopes + leanings


@dataclass(frozen=True)
class Adapted:
    """Other devices' times, corrected by the samples of a new one.

    Attributes:
        inputs: of the samples, other devices' times among them; there may be none of them.
        ms: milliseconds of the samples.
        weights: of the other devices (bases), which add up to 1.
        offset: what to add to the others' mean log before any sample: of what is known of the devices' peak rates.
        factor: variance of the device's own factor about that.
    """

    inputs: Inputs
    ms: np.ndarray
    weights: np.ndarray
    offset: float = 0.0
    factor: float = FACTOR

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Milliseconds (n)."""
        correction, deviation = self.corrections(inputs)
        # a relative error is least about the logarithm's mean, less its variance
        logs = self._start(inputs) + correction - np.minimum(deviation**2, MOST_SHIFT)
        if self._physical is not None:
            logs = (logs + np.log(self._physical.predict(inputs.features, inputs.kernels, inputs.others))) / 2
        return np.exp(logs)

    def deviations(self, inputs: Inputs) -> np.ndarray:
        """Standard deviations of the logarithms (n), as the correction has them."""
        return self.corrections(inputs)[1]

    def corrections(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """The correction's mean (n) and standard deviation (n), noise included."""
        asked = KernelInputs.of(inputs, self.weights)
        variance = asked.variance(self.factor) + NOISE
        if not len(self.ms):
            return np.zeros(len(variance)), np.sqrt(variance)
        known, solver, weights = self._solution
        covariance = known.covariance(asked, self.factor)
        told = (covariance * cho_solve(solver, covariance)).sum(0)
        return covariance.T @ weights, np.sqrt(np.maximum(variance - told, NOISE))

    def _start(self, inputs: Inputs) -> np.ndarray:
        return np.log(inputs.others) @ self.weights + self.offset

    @cached_property
    def _solution(self) -> tuple[KernelInputs, Any, np.ndarray]:
        """Of the samples: as layers, the factorised covariance, and weights."""
        known = KernelInputs.of(self.inputs, self.weights)
        covariance = known.covariance(known, self.factor)
        covariance[np.diag_indices_from(covariance)] += NOISE
        solver = cho_factor(covariance)
        return known, solver, cho_solve(solver, np.log(self.ms) - self._start(self.inputs))

    @cached_property
    def _physical(self) -> PhysicalModel | None:
        if len(self.ms) < LEAST_FOR_PHYSICS:
            return None
        return PhysicalModel.fit(self.inputs.features, self.inputs.kernels, self.ms, self.inputs.others)

    def to_json(self) -> dict[str, Any]:
        table = [[float(f"{value:.9g}") if np.isfinite(value) else None for value in row]
                 for row in self.inputs.features]  # fmt: skip
        others = self.inputs.others.tolist()
        return {"features": table, "kernels": list(self.inputs.kernels), "others": others, "ms": self.ms.tolist(),
                "weights": self.weights.tolist(), "offset": self.offset, "factor": self.factor}  # fmt: skip

    @classmethod
    def from_json(cls, values: Any, bases: int) -> Adapted:
        """The inverse of `to_json`, of so many other devices. Raises DataError for what does not fit together."""
        kinds = {"features": list[list[float | None]], "kernels": list[str], "others": list[list[float]],
                 "ms": list[float], "weights": list[float], "offset": float, "factor": float}  # fmt: skip
        given = check_entries(values, kinds, "samples", needed=tuple(kinds))
        count = len(given["ms"])
        widths = {len(row) for row in given["features"]} | {len(NAMES)}
        if len(given["features"]) != count or len(given["kernels"]) != count or len(given["others"]) != count:
            raise DataError("samples: their parts have different lengths")
        if widths != {len(NAMES)} or any(len(row) != bases for row in given["others"]) or not bases:
            raise DataError("samples: a row has another number of columns")
        positive = [*given["ms"], *(value for row in given["others"] for value in row), given["factor"]]
        if min(positive) <= 0 or abs(given["offset"]) > 50:
            raise DataError("samples: a time or a variance is not above 0")
        weights = np.array(given["weights"], np.float64)
        if len(weights) != bases or weights.min() < 0 or abs(weights.sum() - 1) > 1e-6:
            raise DataError("samples: the other devices' weights do not add up to 1")
        rows = [[np.nan if value is None else value for value in row] for row in given["features"]]
        features = np.array(rows, np.float64).reshape(count, len(NAMES))
        others = np.array(decode(list[list[float]], given["others"], "others"), np.float64).reshape(count, bases)
        inputs = Inputs(features, tuple(given["kernels"]), others)
        return cls(inputs, np.array(given["ms"], np.float64), weights, given["offset"], given["factor"])

    def told_apart(self) -> np.ndarray:
        """Errors of each sample from all others, in standard deviations (n): eq. 5.12 of the book, correction alone."""
        _, solver, weights = self._solution
        precision = np.diag(cho_solve(solver, np.eye(len(self.ms))))
        return weights / np.sqrt(precision)


def most_telling(inputs: Inputs, weights: np.ndarray, count: int, factor: float = FACTOR, taken: int = 0) -> list[int]:
    """The `count` layers whose times would lower the variance of all layers' corrections most, one after the other.

    Args:
        inputs: of all layers that could be timed, with other devices' times; weights: of these.
        taken: the first so many have been timed already.
    """
    layers = KernelInputs.of(inputs, weights)
    covariance = layers.covariance(layers, factor)
    timed: list[int] = []
    while len(timed) < min(taken + count, len(layers.kernels)):
        gains = (covariance**2).sum(1) / (covariance.diagonal() + NOISE)
        gains[timed] = -1.0
        best = len(timed) if len(timed) < taken else int(np.argmax(gains))
        column = covariance[:, best].copy()
        covariance -= np.outer(column, column) / (column[best] + NOISE)
        timed.append(best)
    return timed[taken:]
