"""Which photographs layers are reconstructed on, as inputs without padding, and which are left to judge the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fleetpose.errors import UsageError
from models.annotations.pictures import check_whole
from models.preprocess import fit, read_image
from models.train.data.photographs import SUFFIXES, images_below
from models.zoo.spec import ModelSpec

#: as many photographs that no layer was reconstructed on are enough to judge by them alone
LEAST_HELD_OUT = 8
#: as many photographs are left to judge by, where that leaves as many to learn from as layers are reconstructed on
HELD_OUT = 24
#: the most photographs that a recovery learns from
MOST_LEARNT = 1024


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
    paths = _drawn_evenly(folders, random)[:count]
    inputs = [fit(_cut(read_image(path), spec.size, random), spec.size, spec.preprocessing)[0] for path in paths]
    return np.concatenate(inputs)


def learning_photographs(folders: Sequence[Path | str], reconstructed_on: int, seed: int = 0) -> list[Path]:
    """Photographs to win accuracy back on: those of `calibration_inputs(..., reconstructed_on, seed)` and more, but
    HELD_OUT, which `judging_photographs` takes. Raises UsageError where there is none, or a file is damaged."""
    paths = _drawn_evenly(folders, np.random.default_rng(seed))
    learnt = paths[: max(reconstructed_on, min(MOST_LEARNT, len(paths) - HELD_OUT))]
    for path in learnt:
        check_whole(path)
    return learnt


def judging_photographs(
    folders: Sequence[Path | str], used: int | None, count: int, seed: int = 0
) -> tuple[list[Path], bool]:
    """Photographs to judge a pruned network by, `count` or fewer, and whether it has seen none of them.

    They are of those that `calibration_inputs(..., used, seed)` leaves, if these are LEAST_HELD_OUT or more; else any.

    Args:
        used: how many photographs layers were reconstructed on; None: all were used, say for training.

    Raises:
        UsageError: no photographs.
    """
    paths = _drawn_evenly(folders, np.random.default_rng(seed))
    others = [] if used is None else paths[used:]
    held_out = len(others) >= LEAST_HELD_OUT
    return (others if held_out else paths)[:count], held_out


def _drawn_evenly(folders: Sequence[Path | str], random: np.random.Generator) -> list[Path]:
    """Every photograph of the folders in the order in which they are drawn: in turn of each folder."""
    by_folder = [find_photographs([folder]) for folder in folders]
    shuffled = [[paths[index] for index in random.permutation(len(paths))] for paths in by_folder]
    longest = max(map(len, shuffled))
    return [paths[index] for index in range(longest) for paths in shuffled if index < len(paths)]


def _cut(image: np.ndarray, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """The largest part of a photograph that has the proportions of `size`, at a random place."""
    height, width = image.shape[:2]
    wide, high = min(width, round(height * size[1] / size[0])), min(height, round(width * size[0] / size[1]))
    left, top = random.integers(0, width - wide + 1), random.integers(0, height - high + 1)
    return image[top : top + high, left : left + wide]
