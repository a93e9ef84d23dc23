"""How a network is pruned, as plain values; torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fleetpose.errors import UsageError, unknown_name
from fleetpose.options import option
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
EFFORT = "how thoroughly layers are reconstructed; quick takes half the time and is a little less accurate"


@dataclass(frozen=True)
class Strength:
    """How methods that find masks while training go about it."""

    share: float = option(0.5, "share of the training in which zeros are found; in the rest they are held")
    rho: float = option(1e-4, "penalty of --method admm at first; it rises 1000-fold")
    lasso: float = option(0.1, "strength of --method reweighted")


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
    """

    method: str = "oneshot"
    training: TrainSettings | None = None
    strength: Strength = field(default_factory=Strength)
    seed: int = 0
    device: str = "auto"
    reconstruction: str = option("full", EFFORT, choices=RECONSTRUCTIONS)

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
    """

    start: Path
    checkpoint: Path
    log: Path

    @classmethod
    def beside(cls, out: Path) -> PruneFiles:
        """Files beside the weights that are to be written in the end."""
        return cls(*(out.with_suffix(suffix) for suffix in (".start", ".checkpoint", ".csv")))

    def remove(self) -> None:
        """Remove what a finished pruning needs no more."""
        from models.train.running.checkpoint import remove_checkpoint

        remove_checkpoint(self.checkpoint)
        self.start.unlink(missing_ok=True)
