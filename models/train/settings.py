"""How a network is trained, as plain values; torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fleetpose.errors import UsageError, unknown_name

RECIPES = ("muon", "adamw", "lwop")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Augmentation:
    """How views of photographs differ; the defaults are Lightweight OpenPose's, colour apart.

    Attributes:
        scale: an annotated person becomes 0.6 x 368 x this high, in pixels, drawn between the two.
        photograph_scale: a photograph without annotations becomes 368 x this high.
        rotation: up to so many degrees either way.
        shift: the crop's centre is up to so many pixels off the person's, on each axis.
        flip: probability of a mirrored view.
        colour: strength of changes of brightness, contrast and colour balance; 0 leaves colours alone.
    """

    scale: tuple[float, float] = (0.5, 1.1)
    photograph_scale: tuple[float, float] = (0.5, 1.1)
    rotation: float = 40.0
    shift: float = 40.0
    flip: float = 0.5
    colour: float = 0.2

    def __post_init__(self) -> None:
        for name in ("scale", "photograph_scale"):
            low, high = getattr(self, name)
            if not (0 < low <= high and math.isfinite(high)):
                raise UsageError(f"{name} must be two positive numbers, the smaller one first, got {low:g} {high:g}")
        if not 0 <= self.flip <= 1:
            raise UsageError(f"flip is a probability, got {self.flip:g}")
        if not 0 <= self.colour < 1:
            raise UsageError(f"colour must be at least 0 and below 1, got {self.colour:g}")


@dataclass(frozen=True)
class TrainSettings:
    """One training; `steps` or `minutes` says how long it is, the other is None.

    Attributes:
        steps: updates of the weights.
        minutes: of training, over all runs of a command that was interrupted; what is learnt then depends on the
            machine's speed.
        crop: side of the square views, in pixels; a multiple of the network's stride.
        first_crop: side at the beginning; the same views, smaller. They grow to `crop` until `growth` of the training
            is done (progressive resizing): what is learnt early needs no detail, and a quarter of the pixels cost a
            quarter of the time.
        growth: as a fraction of the training.
        batch: views per step, of all processes together.
        recipe: "muon" and "adamw" are these optimizers with warm-up and a cosine to zero; "lwop" is Lightweight
            OpenPose's Adam, its rate x 0.333 three times, refinement stages at four times the rate.
        lr: the highest learning rate; None is the recipe's.
        weight_decay: of weights, not of biases and batch norms; None is the recipe's.
        warmup: fraction of the training in which the rate rises from 0; not of "lwop".
        label_weight, soft_weight, hint_weight: of the losses against annotations, the teacher's maps, its features.
        ema: decay per step of the averaged weights, which are what is kept.
        precision: of the arithmetic; "auto" is bfloat16 or float16 on a GPU, float32 on a CPU.
        seed: of views and their order.
        workers: processes that prepare views; None lets the device decide.
        checkpoint_secs: between checkpoints.
    """

    steps: int | None = None
    minutes: float | None = None
    crop: int = 256
    first_crop: int | None = None
    growth: float = 0.7
    batch: int = 8
    recipe: str = "adamw"
    lr: float | None = None
    weight_decay: float | None = None
    warmup: float = 0.03
    label_weight: float = 1.0
    soft_weight: float = 1.0
    hint_weight: float = 0.5
    ema: float = 0.999
    precision: str = "auto"
    seed: int = 0
    workers: int | None = None
    checkpoint_secs: float = 60.0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise UsageError("say how long to train: by one of --steps, --epochs and --minutes")
        for name, known in (("recipe", RECIPES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise unknown_name(name, getattr(self, name), known)
        positive = ("steps", "minutes", "crop", "first_crop", "batch", "lr")
        for name in (
            *positive,
            "growth",
            "weight_decay",
            "warmup",
            "label_weight",
            "soft_weight",
            "hint_weight",
            "ema",
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0 and (value > 0 or name not in positive)):
                raise UsageError(
                    f"{name} must be a {'positive' if name in positive else 'non-negative'} number, got {value:g}"
                )
        if self.ema >= 1:
            raise UsageError(f"ema must be below 1, or nothing is learnt, got {self.ema:g}")

    def side(self, progress: float, stride: int) -> int:
        """The side of views when `progress` (0 to 1) of the training is done, a multiple of `stride`."""
        if self.first_crop is None or progress >= self.growth:
            return self.crop
        grown = self.first_crop + (self.crop - self.first_crop) * progress / self.growth
        return min(self.crop, max(1, round(grown / stride)) * stride)

    def identity(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to go on: all but what does not change the result."""
        aside = ("workers", "checkpoint_secs", "augmentation")
        mine = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in aside}
        return {**mine, **{f"augmentation.{name}": _plain(value) for name, value in asdict(self.augmentation).items()}}


def check_teacher(model: str | None, weights: object) -> None:
    """Raise UsageError for a teacher without weights, or weights without a teacher."""
    if bool(model) != bool(weights):
        raise UsageError("--teacher NAME and --teacher-weights FILE go together")


def _plain(value: Any) -> Any:
    """Tuples as lists, as they come back from a file."""
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
