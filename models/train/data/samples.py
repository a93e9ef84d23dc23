"""Batches of views, each a function of the seed and its position alone, so that training can go on where it stopped.

Position p of a training shows photograph p mod n of the p // n-th shuffling of n photographs, under an augmentation
drawn for p. Nothing else is random: not the process that prepares it, nor what came before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fleetpose.errors import UsageError
from models.pose.skeleton import HEATMAPS, PAFS
from models.preprocess import Preprocessing, read_image
from models.train.data.augmentation import draw_view
from models.train.data.photographs import Photographs
from models.train.data.targets import target_maps
from models.train.settings import TrainSettings

_ORDER, _VIEW = 0, 1  # streams of random numbers


@dataclass
class Batch:
    """Views with their labels.

    images: (N, 3, side, side) uint8, BGR.
    heatmaps, pafs: (N, 19, h, w) and (N, 38, h, w) float32 targets; anything where `weight` is 0.
    weight: (N, 1, h, w) float32, how much each cell's labels count; 0 in photographs without labels.
    """

    images: torch.Tensor
    heatmaps: torch.Tensor
    pafs: torch.Tensor
    weight: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


@dataclass(frozen=True)
class Damaged:
    """In a view's place: what is wrong with its photograph. An exception would lose its text between processes."""

    problem: str


class Views(Dataset):
    """Views of photographs by their position.

    Args:
        settings: crop, augmentation and seed.
        stride: of the network's maps.
        padding: colour outside photographs, BGR.
        step: what the sides of views are multiples of; 1: of `stride`.
    """

    def __init__(
        self,
        photographs: Photographs,
        settings: TrainSettings,
        stride: int,
        padding: tuple[float, float, float],
        step: int = 1,
    ) -> None:
        self.step = math.lcm(stride, step)
        for flag, side in (("--crop", settings.crop), ("--first-crop", settings.first_crop)):
            if side is not None and side % self.step:
                raise UsageError(f"{flag} {side} is no multiple of {self.step}, as sides of the network's input are")
        self.photographs, self.settings, self.stride, self.padding = photographs, settings, stride, padding
        self._epoch, self._shuffled = -1, np.zeros(0, np.intp)

    def order(self, epoch: int) -> np.ndarray:
        """The indices of all photographs, shuffled for one epoch."""
        if self._epoch != epoch:
            random = np.random.default_rng([self.settings.seed, _ORDER, epoch])
            self._epoch, self._shuffled = epoch, random.permutation(len(self.photographs.items))
        return self._shuffled

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, ...] | Damaged:
        """Image, heatmaps, PAFs and weight, as in Batch; `key` is a position and the view's side."""
        position, side = key
        epoch, place = divmod(position, len(self.photographs.items))
        item = self.photographs.items[self.order(epoch)[place]]
        random = np.random.default_rng([self.settings.seed, _VIEW, position])
        try:
            photograph = read_image(item.path)
        except UsageError as error:
            return Damaged(str(error))
        labels = item.labels
        size = (photograph.shape[0], photograph.shape[1])
        if labels is not None and labels.size != size:
            shown, annotated = f"{size[1]} x {size[0]}", f"{labels.size[1]} x {labels.size[0]}"
            return Damaged(f"{item.path} is {shown} but annotated as {annotated}")
        view = draw_view(random, size, self.settings.crop, self.settings.augmentation, labels).at(side)
        image = np.ascontiguousarray(view.image(photograph, self.padding).transpose(2, 0, 1))
        cells = side // self.stride
        if labels is None:
            nothing = [np.zeros((channels, cells, cells), np.float32) for channels in (HEATMAPS, PAFS, 1)]
            return (image, *nothing)
        weight = 1 - view.cell_coverage(labels.ignored_mask(), cells)[None]
        return (image, *target_maps(view.people(labels.people), cells, self.stride), weight)


def _collate(views: Sequence[tuple[np.ndarray, ...] | Damaged]) -> Batch | Damaged:
    good = [view for view in views if not isinstance(view, Damaged)]
    bad = [view for view in views if isinstance(view, Damaged)]
    return bad[0] if bad else Batch(*(torch.from_numpy(np.stack(part)) for part in zip(*good, strict=True)))


def _keys(
    views: Views, first: int, rank: int, processes: int, progress_at: Callable[[int], float]
) -> Iterator[list[tuple[int, int]]]:
    """What to show in each step from `first` on, without end: this process's share of the batch."""
    batch = views.settings.batch
    for step in itertools.count(first):
        side = views.settings.side(progress_at(step), views.step)
        yield [(position, side) for position in range(step * batch + rank, (step + 1) * batch, processes)]


class _Endless:
    """An iterator as DataLoader wants a sampler: an iterable."""

    def __init__(self, keys: Iterator[list[tuple[int, int]]]) -> None:
        self.keys = keys

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return self.keys


def batches(
    views: Views,
    first: int,
    progress_at: Callable[[int], float],
    *,
    workers: int = 0,
    rank: int = 0,
    processes: int = 1,
    pinned: bool = False,
) -> Iterator[Batch]:
    """Batches without end, from step `first` on.

    Args:
        progress_at: step -> how much of the training is done, 0 to 1; called when the step's views are begun.
        workers: processes that prepare them; 0 is the caller's own.
        rank, processes: of a training in several processes, which share every batch.

    Raises:
        UsageError: a photograph that cannot be read or is not as annotated; when its turn comes.
    """
    loader: DataLoader = DataLoader(
        views,
        batch_sampler=_Endless(_keys(views, first, rank, processes, progress_at)),
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pinned,
        worker_init_fn=_one_thread,
        multiprocessing_context="spawn" if workers else None,  # OpenCV's threads do not survive a fork
    )
    for batch in loader:
        if isinstance(batch, Damaged):
            raise UsageError(batch.problem)
        yield batch


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)


def padding_colour(preprocessing: Preprocessing) -> tuple[float, float, float]:
    """The BGR colour that normalises to 0, which evaluation pads with. Raises UsageError for grey networks."""
    if preprocessing.count != 3:
        raise UsageError(
            "training reads photographs of three channels; networks on grey pictures cannot be trained here"
        )
    blue, green, red = preprocessing.mean if preprocessing.channels == "BGR" else preprocessing.mean[::-1]
    return blue, green, red


def normalise(images: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Float32 input for a network, channels innermost in memory, of (N, 3, H, W) uint8 BGR images."""
    if preprocessing.channels == "RGB":
        images = images.flip(1)
    mean = torch.tensor(preprocessing.mean, device=images.device).view(1, 3, 1, 1)
    return ((images.float() - mean) * preprocessing.scale).contiguous(memory_format=torch.channels_last)
