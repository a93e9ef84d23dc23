"""What a teacher says about views: its last maps as targets, its features as hints; and the pupil that answers both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.preprocess import Preprocessing
from models.registry import create_model, model_spec
from models.train.device import placed
from models.train.hints import Pupil, Tapped, channels_at, feature_places
from models.train.samples import normalised


@dataclass(frozen=True)
class Teacher:
    """A trained network and what it expects of its input; training puts it into eval mode and freezes it."""

    network: nn.Module
    preprocessing: Preprocessing

    @classmethod
    def named(cls, model: str, weights: Path | str | None, seed: int = 0) -> Teacher:
        """The registered network `model` with a file of weights; None is random ones, drawn from `seed`.

        Raises:
            UsageError: no such network or file, or one that does not fit the other.
        """
        return cls(create_model(model, weights, seed), model_spec(model).preprocessing)


class Lesson:
    """A teacher at work.

    Called with (N, 3, H, W) uint8 images it answers ((heatmaps, PAFs) of its last stage, {place: features}), all
    float32 and without gradients.
    """

    def __init__(self, teacher: Teacher, device: torch.device) -> None:
        self.network = placed(teacher.network, device).eval().requires_grad_(False)
        self.preprocessing = teacher.preprocessing
        self.places = feature_places(self.network)
        self.tapped = Tapped(self.network, self.places)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> tuple[tuple[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]:
        stages, features = self.tapped(normalised(images, self.preprocessing))
        return (stages[-2].float(), stages[-1].float()), {name: found.float() for name, found in features.items()}


def make_pupil(network: nn.Module, lesson: Lesson | None, seed: int, device: torch.device) -> Pupil:
    """`network` with an adaptor, drawn from `seed`, at every place the lesson's teacher has, too; None: without any."""
    mine = feature_places(network) if lesson is not None else {}
    theirs = lesson.places if lesson is not None else {}
    shared = [name for name in mine if name in theirs]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        channels = {name: channels_at(lesson.network, theirs[name]) for name in shared} if lesson is not None else {}
        pupil = Pupil(network, {name: mine[name] for name in shared}, channels)
    placed(pupil, device)
    return pupil
