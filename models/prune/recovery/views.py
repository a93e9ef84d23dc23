"""Views of photographs to win accuracy back on: parts of them, at random places and sizes, some of them mirrored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.preprocess import fit, read_image
from models.zoo.spec import ModelSpec

#: sizes of what is seen, relative to the size at which the network's input covers the photograph
SCALES = (0.75, 1.3)


@dataclass(frozen=True)
class RecoveryViews:
    """Views by their position, each a function of the seed and its position alone.

    Attributes:
        photographs: files, in an order that does not matter.
        spec: of the network; its size and preprocessing.
        size: (height, width) of a view.
        seed: of what is drawn.
    """

    photographs: Sequence[Path]
    spec: ModelSpec
    size: tuple[int, int]
    seed: int = 0

    def batch(self, first: int, count: int) -> np.ndarray:
        """(count, channels, height, width) float32, of positions `first` and on. Raises UsageError for a photograph
        that cannot be read."""
        return np.concatenate([self._view(position) for position in range(first, first + count)])

    def _view(self, position: int) -> np.ndarray:
        epoch, place = divmod(position, len(self.photographs))
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.photographs))
        random = np.random.default_rng([self.seed, 1, position])
        image = read_image(self.photographs[order[place]])
        scale = max(self.spec.size[0] / image.shape[0], self.spec.size[1] / image.shape[1])
        scale *= math.exp(random.uniform(*np.log(SCALES)))
        high, wide = (
            max(1, min(extent, round(side / scale))) for extent, side in zip(image.shape[:2], self.size, strict=True)
        )
        top, left = random.integers(0, image.shape[0] - high + 1), random.integers(0, image.shape[1] - wide + 1)
        part = image[top : top + high, left : left + wide]
        if random.random() < 0.5:
            part = part[:, ::-1]
        return fit(np.ascontiguousarray(part), self.size, self.spec.preprocessing)[0]
