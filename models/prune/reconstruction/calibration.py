"""Calibration inputs: photographs, with or without annotations, as square network inputs without padding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fleetpose.errors import UsageError
from models.preprocess import fit, read_image
from models.train.data.photographs import SUFFIXES, images_below
from models.zoo.spec import ModelSpec


def find_photographs(folders: Sequence[Path | str]) -> list[Path]:
    """Every photograph below `folders`, sorted within each. Raises UsageError where there is none."""
    photographs = [path for folder in folders for path in images_below(Path(folder))]
    if not photographs:
        raise UsageError(f"no photographs in {', '.join(map(str, folders))}; they end in {', '.join(SUFFIXES)}")
    return photographs


def calibration_inputs(spec: ModelSpec, folders: Sequence[Path | str], count: int, seed: int = 0) -> np.ndarray:
    """(count or fewer, 3, height, width) float32 inputs at the spec's size; photographs drawn evenly from each folder.

    Each photograph is scaled to cover the input, and what stands out is cut off on a random side.

    Raises:
        UsageError: no photographs, or one that cannot be read.
    """
    random = np.random.default_rng(seed)
    by_folder = [find_photographs([folder]) for folder in folders]
    shuffled = [[paths[index] for index in random.permutation(len(paths))] for paths in by_folder]
    longest = max(map(len, shuffled))
    paths = [paths[index] for index in range(longest) for paths in shuffled if index < len(paths)][:count]
    inputs = [fit(_cut(read_image(path), spec.size, random), spec.size, spec.preprocessing)[0] for path in paths]
    return np.concatenate(inputs)


def _cut(image: np.ndarray, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """The largest part of a photograph that has the proportions of `size`, at a random place."""
    height, width = image.shape[:2]
    wide, high = min(width, round(height * size[1] / size[0])), min(height, round(width * size[0] / size[1]))
    left, top = random.integers(0, width - wide + 1), random.integers(0, height - high + 1)
    return image[top : top + high, left : left + wide]
