"""How a network is pruned, as plain values; torch-free."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fleetpose.errors import UsageError, unknown_name
from fleetpose.files import remove_output
from fleetpose.options import POSITIVE, option, real
from models.train.running.paths import checkpoint_path, log_path
from models.train.settings import TrainSettings

#: what a training may do besides learning; "oneshot" prunes before it and holds the masks
METHODS = ("oneshot", "magnitude", "admm", "reweighted")
#: options of a training that are flags
TRAINING = ("crop", "first_crop", "growth", "batch", "recipe", "lr", "ema", "seed", "workers", "checkpoint_secs")
#: of a training that starts from trained weights
RECIPE = "muon"
#: its highest learning rate, far below what random weights start with
LR = 3e-4
#: decay of its averaged weights
EMA = 0.999
#: how thoroughly layers are solved anew; see models.prune.reconstruction.layerwise
RECONSTRUCTIONS = ("full", "quick")
#: minutes of recovery if not told otherwise: two minutes on a CPU gained nothing (docs/pruning.md)
RECOVERY_MINUTES = 0.0
RECOVERY = (
    "minutes in which kept weights are moved by gradients after reconstruction, so that outputs and features are those "
    "of the dense network again; needs no annotations"
)
EFFORT = "how thoroughly layers are reconstructed; quick takes half the time and is a little less accurate"


@dataclass(frozen=True)
class Strength:
    """How methods that find masks while training go about it."""

    share: float = option(
        0.5, "share of the training in which zeros are found; in the rest they are held", type=real(0, 1)
    )
    rho: float = option(1e-4, "penalty of --method admm at first; it rises 1000-fold", type=POSITIVE)
    lasso: float = option(0.1, "strength of --method reweighted")


@dataclass(frozen=True)
class RecoverySettings:
    """How accuracy is won back after reconstruction; see models.prune.recovery.

    Attributes:
        minutes: in all.
        steps: instead of `minutes`, so many of each block and so many of all together, so that the result is the same
            to the last bit whenever it is made; None: minutes.
        blocks: the part of `minutes` that goes block by block; in the rest all weights move together, which on a CPU
            gained nothing in a minute.
        side: of the views, in pixels, where the network takes any size.
        batch: views of a step.
        rate: highest rate; see models.prune.recovery.natural.
        hint_weight: of features, where outputs have 1.
        views: how many are kept for the blocks.
        checkpoint_secs: between two checkpoints.
        seed: of the views.
    """

    minutes: float = 5.0
    steps: int | None = None
    blocks: float = 1.0
    side: int = 192
    batch: int = 4
    rate: float = 0.012
    hint_weight: float = 1.0
    views: int = 50
    checkpoint_secs: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.minutes >= 0 and math.isfinite(self.minutes)):
            raise UsageError(f"minutes of recovery must be 0 or more, got {self.minutes:g}")

    @property
    def anything(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.minutes) if self.steps is None else self.steps > 0

    def identity(self) -> dict[str, Any]:
        """What tells this recovery from another one, for the checkpoint."""
        return {name: value for name, value in asdict(self).items() if name != "checkpoint_secs"}


@dataclass(frozen=True)
class PruneSettings:
    """How a network is pruned.

    Attributes:
        method: how zeros are chosen and learnt, one of METHODS.
        training: what follows "oneshot", or the training in which another method finds its zeros; None: no training.
        strength: of the methods that find their zeros while they train.
        seed: of the positions that layers are reconstructed at.
        device: what trains: "auto", "cpu" or "cuda".
        reconstruction: how thoroughly "oneshot" solves layers anew, one of RECONSTRUCTIONS.
        recovery: what follows reconstruction where photographs are given; None: nothing.
    """

    method: str = "oneshot"
    training: TrainSettings | None = None
    strength: Strength = field(default_factory=Strength)
    seed: int = 0
    device: str = "auto"
    reconstruction: str = option("full", EFFORT, choices=RECONSTRUCTIONS)
    recovery: RecoverySettings | None = None

    def recovers(self, photographs: bool) -> bool:
        """Whether kept weights are moved after reconstruction, where there are photographs to do so or not."""
        return self.method == "oneshot" and photographs and self.recovery is not None and self.recovery.anything

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("pruning method", self.method, METHODS)
        if self.method != "oneshot" and self.training is None:
            raise UsageError(f"--method {self.method} prunes while it trains; give --minutes, --steps or --epochs")


@dataclass(frozen=True)
class PruneFiles:
    """The files in which a pruning keeps what it has so far, so that the same call goes on after an interruption.

    Attributes:
        start: the network as it was pruned before the training (safetensors).
        checkpoint: the training's state.
        log: the training's course (CSV); it stays.
        recovery: the state of what follows reconstruction.
    """

    start: Path
    checkpoint: Path
    log: Path
    recovery: Path

    @classmethod
    def beside(cls, out: Path) -> PruneFiles:
        """Files beside the weights that are to be written in the end."""
        return cls(out.with_suffix(".start"), checkpoint_path(out), log_path(out), out.with_suffix(".recovery"))

    def kept_by(self, settings: PruneSettings, photographs: bool) -> dict[str, Path]:
        """The files, in words, that a pruning keeps its state in; others of these names are not its own.

        Args:
            photographs: whether there are some to win accuracy back on.
        """
        kept = {}
        if settings.training is not None:
            kept["the checkpoint"] = self.checkpoint
            if settings.method == "oneshot":
                kept["the pruned start"] = self.start
        if settings.recovers(photographs):
            kept["the state of the recovery"] = self.recovery
        return kept

    def remove(self, settings: PruneSettings | None = None, photographs: bool = False) -> None:
        """Remove what a finished pruning kept.

        Args:
            settings, photographs: as for `kept_by`; without settings all that bears these names goes, as in a folder
                of the caller's own.
        """
        own = (self.checkpoint, self.start, self.recovery)
        for path in own if settings is None else self.kept_by(settings, photographs).values():
            remove_output(path)


def recovery_settings(minutes: float, seed: int = 0) -> RecoverySettings | None:
    """The recovery of so many minutes; None where there is nothing to do."""
    settings = RecoverySettings(minutes=minutes, seed=seed)
    return settings if settings.anything else None
