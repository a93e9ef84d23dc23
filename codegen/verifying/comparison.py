"""Comparison: the largest differences between an artifact's outputs and those of float64, over many inputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

#: a network's outputs by name
Maps = dict[str, np.ndarray]


@dataclass
class Comparison:
    """Largest differences seen between artifact and reference.

    Attributes:
        max_abs: the largest difference, per output name.
        magnitudes: the largest magnitude of the reference, per output name, over all inputs.
        sizes: how many inputs of each "HxW" were compared.
        squares: the sum of the squares of the differences, and how many values there were, per output name.
        not_finite: names of outputs in which the artifact gave a NaN or an infinity; their differences do not count.
    """

    max_abs: dict[str, float] = field(default_factory=dict)
    magnitudes: dict[str, float] = field(default_factory=dict)
    sizes: Counter = field(default_factory=Counter)
    squares: dict[str, tuple[float, int]] = field(default_factory=dict)
    not_finite: set[str] = field(default_factory=set)

    def add(self, ours: Maps, reference: Maps, size: tuple[int, int]) -> None:
        """Take one input's outputs into account."""
        self.sizes[f"{size[0]}x{size[1]}"] += 1
        for name, expected in reference.items():
            if not np.isfinite(ours[name]).all():
                self.not_finite.add(name)
                continue
            off = np.abs(ours[name] - expected)
            self.max_abs[name] = max(float(off.max()), self.max_abs.get(name, 0.0))
            total, count = self.squares.get(name, (0.0, 0))
            self.squares[name] = (total + float(np.square(off).sum()), count + off.size)
            self.magnitudes[name] = max(float(np.abs(expected).max()), self.magnitudes.get(name, 0.0))

    def relative(self) -> dict[str, float]:
        """The largest difference of each output over its largest magnitude; of an output that is zero, the difference.

        Outputs differ in their units: a heatmap is at most 1, an offset is hundreds of pixels, and maps of random
        weights are often below 1e-3. Only what is relative to an output's own magnitude judges all of them alike. The
        magnitude is that over all inputs, as a map may be empty for one of them.
        """
        return {name: difference / (self.magnitudes[name] or 1.0) for name, difference in self.max_abs.items()}

    def mean_relative(self) -> dict[str, float]:
        """The root of the mean square of each output's differences, over its largest magnitude as in `relative`."""
        return {
            name: (total / max(count, 1)) ** 0.5 / (self.magnitudes[name] or 1.0)
            for name, (total, count) in self.squares.items()
        }
