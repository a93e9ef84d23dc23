"""How a pruned network learns after its layers are reconstructed: by recovery, by a training, or not at all."""

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
    def of(cls, spec: ModelSpec, minutes: float | None, recovering: float, seed: int = 0) -> Learning:
        """A recovery where one is asked for, then a training where the network's outputs are such that there is one.

        Args:
            minutes: of training; None: none.
            recovering: minutes of recovery.
        """
        training = None
        if minutes is not None and tuple(spec.outputs) == TRAINED:
            training = TrainSettings(minutes=minutes, recipe=RECIPE, lr=LR, seed=seed)
        return cls(recovery_settings(recovering, seed), training)

    @property
    def minutes(self) -> float:
        """How long it takes in all."""
        recovery = self.recovery.minutes if self.recovery is not None else 0.0
        return recovery + (self.training.minutes or 0.0 if self.training is not None else 0.0)
