"""The latency model: baseline x exp(trees), with what other devices' predictors say as further inputs, if any.

`Model` is what is fitted and asked; `latency.cost_model.predictor` adds intervals, ranges and the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from latency.cost_model.features import extract
from latency.cost_model.physical import PhysicalModel
from latency.cost_model.smooth import Smooth
from latency.cost_model.trees import Trees, TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.sample import Sample

#: milliseconds of samples on another device
Base = Callable[[Sequence[Sample]], np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """Samples as numbers.

    Attributes:
        features: (n, columns of latency.cost_model.features).
        kernels: class of each.
        others: milliseconds (n, bases) on other devices; no columns without bases.
    """

    features: np.ndarray
    kernels: tuple[str, ...]
    others: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[Sample], hardware: Hardware, bases: Sequence[Base] = ()) -> Inputs:
        others = [base(samples) for base in bases]
        table = np.array(others, np.float64).T.reshape(len(samples), len(others))
        return cls(extract(samples, hardware), tuple(sample.kernel for sample in samples), table)

    def __getitem__(self, rows: np.ndarray) -> Inputs:
        return Inputs(self.features[rows], tuple(np.array(self.kernels, object)[rows]), self.others[rows])

    def matrix(self, baseline_ms: np.ndarray) -> np.ndarray:
        """What trees see: features, the log of the baseline, and logs of the other devices' times over it."""
        logs = np.log(baseline_ms)[:, None]
        return np.column_stack([self.features, logs, np.log(self.others) - logs])


@dataclass(frozen=True)
class Model:
    """A fitted baseline, and what its log residual is made of.

    Attributes:
        baseline: physics.
        trees: on the inputs, the baseline and the other devices' times.
        smooth: on features alone; None where it has no share.
        share: of the residual that is the smooth surface's; the rest is the trees'.
    """

    baseline: PhysicalModel
    trees: Trees
    smooth: Smooth | None = None
    share: float = 0.0

    @classmethod
    def fit(cls, inputs: Inputs, ms: np.ndarray, settings: TreeSettings, seed: int = 0, share: float = 0.0) -> Model:
        """Fit to measured milliseconds (n)."""
        baseline = PhysicalModel.fit(inputs.features, inputs.kernels, ms, inputs.others)
        physical = baseline.predict(inputs.features, inputs.kernels, inputs.others)
        residual = np.log(ms / physical)
        smooth = Smooth.fit(inputs.features, residual, seed) if share else None
        return cls(baseline, Trees.fit(inputs.matrix(physical), residual, settings, seed), smooth, share)

    def predict(self, inputs: Inputs, rounds: int = 0) -> np.ndarray:
        """Milliseconds (n), with the first `rounds` trees or all."""
        physical = self.baseline.predict(inputs.features, inputs.kernels, inputs.others)
        residual = self.trees.predict(inputs.matrix(physical), rounds)
        if self.smooth is not None:
            residual = (1 - self.share) * residual + self.share * self.smooth.predict(inputs.features)
        return physical * np.exp(residual)


def measured_ms(samples: Sequence[Sample]) -> np.ndarray:
    """Milliseconds (n) of samples that all have them."""
    return np.array([sample.ms for sample in samples], np.float64)
