"""How a network is trained, as plain values; torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fleetpose.errors import UsageError, unknown_name
from fleetpose.options import COUNT, POSITIVE, option, real

RECIPES = ("muon", "adamw", "lwop")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Augmentation:
    """How views of photographs differ; the defaults are Lightweight OpenPose's, colour apart."""

    scale: tuple[float, float] = option(
        (0.5, 1.1), "an annotated person becomes 0.6 x 368 x this high: lowest, highest", type=POSITIVE, nargs=2
    )
    photograph_scale: tuple[float, float] = option(
        (0.5, 1.1), "a photograph without annotations becomes 368 x this high: lowest, highest", type=POSITIVE, nargs=2
    )
    rotation: float = option(40.0, "most degrees that a view is turned either way")
    shift: float = option(40.0, "pixels that a crop's centre is off the person's at most, on each axis")
    flip: float = option(0.5, "probability of a mirrored view", type=real(0, 1))
    colour: float = option(
        0.2, "strength of changes of brightness, contrast and colour balance; 0 for none", type=real(below=1)
    )

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
        crop: a multiple of the network's stride.
        first_crop: the same views, smaller; they grow to `crop` until `growth` of the training is done (progressive
            resizing): what is learnt early needs no detail, and a quarter of the pixels cost a quarter of the time.
        recipe: "muon" and "adamw" are these optimizers with warm-up and a cosine to zero; "lwop" is Lightweight
            OpenPose's Adam, its rate x 0.333 three times, refinement stages at four times the rate, with no warm-up.
        weight_decay: not of biases and batch norms.
        ema: per step; the averaged weights are what is kept.
        precision: "auto" is bfloat16 or float16 on a GPU, float32 on a CPU.
        augmentation: how views of photographs differ.
    """

    steps: int | None = None
    minutes: float | None = None
    crop: int = option(256, "side of a view in pixels", type=COUNT)
    first_crop: int | None = option(None, "side at the beginning, from where views grow (default: --crop)", type=COUNT)
    growth: float = option(0.7, "fraction of the training in which views grow", type=real(0, 1))
    batch: int = option(8, "views per step, of all processes together", type=COUNT)
    recipe: str = option("adamw", "optimizer and learning rates", choices=RECIPES)
    lr: float | None = option(None, "highest learning rate (default: the recipe's)", type=POSITIVE)
    weight_decay: float | None = option(None, "weight decay, of weights alone (default: the recipe's)")
    warmup: float = option(0.03, "fraction in which the rate rises", type=real(0, 1))
    label_weight: float = option(1.0, "weight of the loss against annotations")
    soft_weight: float = option(1.0, "weight of the loss against the teacher's maps")
    hint_weight: float = option(0.5, "weight of the loss against the teacher's features")
    ema: float = option(0.999, "decay of the averaged weights", type=real(below=1))
    precision: str = option("auto", "numbers that the training computes with", choices=PRECISIONS)
    seed: int = option(0, "seed of random weights, views and their order")
    workers: int | None = option(None, "processes that prepare views (default: by the device)")
    checkpoint_secs: float = option(60.0, "seconds between checkpoints")
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
