"""What a teacher says about views: its maps as targets, its features as hints; and the pupil that answers both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.preprocess import Preprocessing
from models.resolve import create_model, model_spec
from models.train.data.samples import normalise
from models.train.running.device import place_on
from models.train.teaching.hints import Pupil, Tapped, channels_at, feature_places
from models.train.teaching.losses import Maps, hint_loss, map_loss


@dataclass(frozen=True)
class Teacher:
    """A trained network and what it expects of its input; training puts it into eval mode and freezes it.

    Attributes:
        itself: whether this is the pupil as it was before pruning. Then each stage's maps are its targets, not the last
            one's all stages', and its features are imitated as they are, without adaptors: where nothing is damaged,
            nothing is to be learnt. An adaptor's random start would say otherwise.
    """

    network: nn.Module
    preprocessing: Preprocessing
    itself: bool = False

    @classmethod
    def from_name(cls, model: str, weights: Path | str | None, seed: int = 0, itself: bool = False) -> Teacher:
        """The registered network `model` with a file of weights; None: random weights, drawn from `seed`.

        Raises:
            UsageError: no such network or file, or one that does not fit the other.
        """
        return cls(create_model(model, weights, seed), model_spec(model).preprocessing, itself)


@dataclass(frozen=True)
class Taught:
    """What a teacher says about a batch, all float32 and without gradients.

    maps: [heatmaps, PAFs] of its last stage, each (N, C, h, w); or of every stage, where it is the pupil itself.
    hints: place -> features, (N, C, h, w).
    itself: see Teacher.
    """

    maps: list[torch.Tensor]
    hints: dict[str, torch.Tensor]
    itself: bool

    def losses(
        self, stages: Maps, features: Mapping[str, torch.Tensor], soft_weight: float, hint_weight: float
    ) -> dict[str, torch.Tensor]:
        """The terms of the loss by name, scalars, for what a pupil makes of the batch.

        Args:
            stages: the pupil's [heatmaps 0, PAFs 0, heatmaps 1, ...], each (N, C, h, w).
            features: place -> the pupil's, through its adaptor where it has one.
            soft_weight, hint_weight: of the terms.
        """
        terms = {"soft": soft_weight * map_loss(stages, self.maps, torch.ones_like(self.maps[0][:, :1]))}
        if features:
            terms["hints"] = hint_weight * hint_loss(features, self.hints, alike=self.itself)
        return terms


class Lesson:
    """A teacher at work: called with (N, 3, H, W) uint8 images, it answers what it has to say about them."""

    def __init__(self, teacher: Teacher, device: torch.device) -> None:
        self.network = place_on(teacher.network, device).eval().requires_grad_(False)
        self.preprocessing, self.itself = teacher.preprocessing, teacher.itself
        self.places = feature_places(self.network)
        self.tapped = Tapped(self.network, self.places)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> Taught:
        stages, features = self.tapped(normalise(images, self.preprocessing))
        maps = [stage.float() for stage in (stages if self.itself else stages[-2:])]
        return Taught(maps, {name: values.float() for name, values in features.items()}, self.itself)


def make_pupil(network: nn.Module, lesson: Lesson | None, seed: int, device: torch.device) -> Pupil:
    """`network` with an adaptor, drawn from `seed`, at every place that the lesson's teacher has, too.

    A network that is taught by itself needs none: its features are answered as they are.
    """
    mine = feature_places(network) if lesson is not None else {}
    theirs = lesson.places if lesson is not None else {}
    shared = [name for name in mine if name in theirs]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        channels = {}
        if lesson is not None and not lesson.itself:
            channels = {name: channels_at(lesson.network, theirs[name]) for name in shared}
        pupil = Pupil(network, {name: mine[name] for name in shared}, channels)
    place_on(pupil, device)
    return pupil
