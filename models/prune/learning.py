"""How a pruned network learns after its layers are reconstructed: by a training, or, of any outputs, by recovery."""

from __future__ import annotations

from dataclasses import dataclass

from models.prune.settings import LR, RECIPE, RecoverySettings, recovery_settings
from models.train.settings import TrainSettings
from models.zoo.spec import ModelSpec

#: outputs that there are losses of labels for
TRAINED = ("heatmaps", "pafs")


@dataclass(frozen=True)
class Learning:
    """What follows reconstruction; None where nothing does."""

    recovery: RecoverySettings | None = None
    training: TrainSettings | None = None

    @classmethod
    def of(cls, spec: ModelSpec, minutes: float | None, recovering: float | None, seed: int = 0) -> Learning:
        """A training where the network's outputs are such that there is one; else a recovery, which takes any network.

        Args:
            minutes: for whichever it is; None: neither.
            recovering: minutes of recovery, whatever else is done; None: as `minutes` says.
        """
        training = None
        if minutes is not None and tuple(spec.outputs) == TRAINED:
            training = TrainSettings(minutes=minutes, recipe=RECIPE, lr=LR, seed=seed)
        if recovering is None:
            recovering = 0.0 if training is not None or minutes is None else minutes
        return cls(recovery_settings(recovering, training is not None, seed), training)

    @property
    def minutes(self) -> float:
        """How long it takes in all."""
        recovery = self.recovery.minutes if self.recovery is not None else 0.0
        return recovery + (self.training.minutes or 0.0 if self.training is not None else 0.0)
