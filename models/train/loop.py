"""The training loop: losses, steps, averaged weights, checkpoints; for one process or several.

`train` knows no command line and writes nothing but its checkpoint. What it learns from comes as `Photographs`, how as
`TrainSettings`, pruning as a `Constraint`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fleetpose.errors import UsageError
from fleetpose.interrupt import until_interrupted
from models.train.constraint import Constraint
from models.train.data.photographs import Photographs
from models.train.data.samples import Batch, Views, batches, normalise, padding_colour
from models.train.optimiser.average import Average
from models.train.optimiser.groups import make_optimizers, set_rate
from models.train.running.checkpoint import (
    load_checkpoint,
    remove_checkpoint,
    restoring,
    save_checkpoint,
    tensors_digest,
)
from models.train.running.device import arithmetic, device_of_name, place_on
from models.train.running.log import Report, TrainStep
from models.train.running.memory import keep_freed_memory
from models.train.running.processes import Processes, join
from models.train.settings import TrainSettings
from models.train.teaching.lesson import Lesson, Teacher, make_pupil
from models.train.teaching.losses import map_loss
from models.zoo.spec import ModelSpec

__all__ = ["Report", "Teacher", "TrainStep", "train"]


def train(  # noqa: PLR0913  options with defaults
    model: nn.Module,
    spec: ModelSpec,
    data: Photographs,
    settings: TrainSettings,
    *,
    teacher: Teacher | None = None,
    constraint: Constraint | None = None,
    checkpoint: Path | None = None,
    report: Report | None = None,
    device: str = "auto",
    restart: bool = False,
) -> nn.Module:
    """Train `model` in place, and give it the averaged weights at the end.

    With equal arguments on one CPU the result is the same to the last bit, interrupted or not, if `settings.steps`
    says how long it is.

    Args:
        model: a network with heatmaps and part-affinity fields; a constraint may hold on to its parameters.
        spec: the network's preprocessing and stride.
        data: what it learns from; photographs without labels need a teacher.
        teacher: its maps are targets, its features are hints; see `Teacher`.
        constraint: what pruning adds.
        checkpoint: kept up to date; training goes on from it where it exists. Its owner removes it.
        report: called after every step, in the first process only.
        device: "auto", "cpu" or "cuda".
        restart: begin anew, whatever checkpoint there is.

    Returns:
        `model`, in eval mode, on the CPU.

    Raises:
        UsageError: a checkpoint of another training, a photograph that cannot be read, a loss that is not finite.
        KeyboardInterrupt: SIGINT or SIGTERM came; the step was ended and the checkpoint written.
    """
    place = device_of_name(device)
    with join(place) as processes:
        if place.type == "cpu":
            keep_freed_memory()
        training = _Training(model, spec, data, settings, teacher, constraint, place, processes)
        training.resume(checkpoint, restart)
        with until_interrupted(signal.SIGINT, signal.SIGTERM) as interrupted:
            training.run(checkpoint, report, interrupted)
        return training.result()


class _Training:
    """What changes while training, and how."""

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        data: Photographs,
        settings: TrainSettings,
        teacher: Teacher | None,
        constraint: Constraint | None,
        device: torch.device,
        processes: Processes,
    ) -> None:
        _check(spec, data, settings, teacher, processes)
        self.model, self.spec, self.settings, self.constraint = model, spec, settings, constraint
        self.device, self.processes, self.preprocessing = device, processes, spec.preprocessing
        self.identity = {**settings.identity(), "photographs": data.digest(), **_digests(model, teacher)}
        place_on(model, device).train()
        self.views = Views(data, settings, spec.stride, padding_colour(spec.preprocessing), spec.side_step)
        self.average = Average(model, settings.ema)
        self.lesson = Lesson(teacher, device) if teacher is not None else None
        self.pupil = make_pupil(model, self.lesson if settings.hint_weight else None, settings.seed, device)
        self.optimizers = make_optimizers(self.pupil, settings)
        self.wrapped = processes.wrap(self.pupil, device)
        self.precision = arithmetic(settings.precision, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)
        self.step, self.secs = 0, 0.0

    @property
    def progress(self) -> float:
        """The fraction of the training that is done."""
        return self._progress_at(self.step)

    def _progress_at(self, step: int) -> float:
        """The fraction that is done before a step; with --minutes, now."""
        if self.settings.steps is not None:
            return min(1.0, step / self.settings.steps)
        return min(1.0, self.secs / (60 * float(self.settings.minutes or 0)))

    def run(self, checkpoint: Path | None, report: Report | None, interrupted: Callable[[], bool]) -> None:
        """Every step that is left, with checkpoints."""
        settings, processes = self.settings, self.processes
        workers = settings.workers if settings.workers is not None else (8 if self.device.type == "cuda" else 0)
        source = batches(
            self.views,
            self.step,
            self._progress_at,
            workers=workers,
            rank=processes.rank,
            processes=processes.count,
            pinned=self.device.type == "cuda",
        )
        begun, last_save = time.monotonic() - self.secs, time.monotonic()
        while self.progress < 1:
            losses, lr = self._learn(next(source).to(self.device))
            self.step += 1
            self.secs, stop = processes.broadcast((time.monotonic() - begun, interrupted()))
            self._after_step()
            if report is not None and processes.first:
                report(TrainStep(self.step, self.progress, self.secs, settings.batch, lr, losses))
            if stop or time.monotonic() - last_save > settings.checkpoint_secs:
                self.save(checkpoint)
                last_save = time.monotonic()
            if stop:
                raise KeyboardInterrupt
        self.save(checkpoint)

    def _learn(self, batch: Batch) -> tuple[dict[str, float], float]:
        """One update of the weights: the losses by name, and the learning rate."""
        lr = set_rate(self.optimizers, self.settings, self.progress)
        terms = self._losses(batch)
        total = torch.stack(list(terms.values())).sum()
        losses = {**{name: float(term.detach()) for name, term in terms.items()}, "loss": float(total.detach())}
        if not torch.isfinite(total):
            shown = ", ".join(f"{name} {value:g}" for name, value in losses.items())
            raise UsageError(f"the loss is not finite at step {self.step + 1} ({shown}); lower --lr than {lr:g}")
        self.pupil.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        return losses, lr

    def _losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The terms of the loss by name, weighted."""
        settings, terms = self.settings, {}
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            stages, features = self.wrapped(normalise(batch.images, self.preprocessing))
            taught = self.lesson(batch.images) if self.lesson is not None else None
        if settings.label_weight and batch.weight.any():
            terms["labels"] = settings.label_weight * map_loss(stages, (batch.heatmaps, batch.pafs), batch.weight)
        if taught is not None:
            terms.update(taught.losses(stages, features, settings.soft_weight, settings.hint_weight))
        penalty = self.constraint.penalty() if self.constraint is not None else None
        if penalty is not None:
            terms["penalty"] = penalty
        if not terms:  # a batch in which nothing is annotated still goes through every process's backward
            terms["labels"] = 0 * torch.stack([maps.float().sum() for maps in stages]).sum()
        return terms

    def _after_step(self) -> None:
        """The constraint's turn, then the average's."""
        if self.constraint is not None:
            self.constraint.after_step(self.progress)
        self.average.update(self.model, self.step)
        if self.constraint is not None:
            self.constraint.project(self.average.network)

    def resume(self, checkpoint: Path | None, restart: bool) -> None:
        """Go on from a checkpoint, where there is one; remove it first to restart."""
        if checkpoint is not None and restart and self.processes.first:
            remove_checkpoint(checkpoint)
        self.processes.wait()
        state = load_checkpoint(checkpoint, self.identity) if checkpoint is not None else None
        if state is not None:
            with restoring(checkpoint):
                self._restore(state)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.secs = state["step"], state["secs"]
        self.pupil.load_state_dict(state["pupil"])
        self.average.network.load_state_dict(state["average"])
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.scaler.load_state_dict(state["scaler"])
        if self.constraint is not None:
            self.constraint.load_state_dict(state["constraint"])

    def save(self, checkpoint: Path | None) -> None:
        """Write the checkpoint, by the first process."""
        if checkpoint is None or not self.processes.first:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "secs": self.secs,
            "pupil": self.pupil.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "constraint": self.constraint.state_dict() if self.constraint is not None else {},
        }
        save_checkpoint(checkpoint, self.identity, state)

    def result(self) -> nn.Module:
        """The network with its averaged weights."""
        self.model.load_state_dict(self.average.network.state_dict())
        return place_on(self.model, torch.device("cpu"), torch.contiguous_format).eval()


def _check(
    spec: ModelSpec, data: Photographs, settings: TrainSettings, teacher: Teacher | None, processes: Processes
) -> None:
    """Raise UsageError for what cannot be trained together."""
    if tuple(spec.outputs) != ("heatmaps", "pafs"):
        raise UsageError(
            f"{spec.name} has outputs {', '.join(spec.outputs)}; training is for heatmaps, pafs; without "
            "a training, models.prune reconstructs the layers of any network on --data"
        )
    if teacher is None and not data.annotated:
        raise UsageError("these photographs have no labels to learn from; give --annotations or a --teacher")
    if settings.batch % processes.count:
        raise UsageError(f"--batch {settings.batch} cannot be shared by {processes.count} processes")


def _digests(model: nn.Module, teacher: Teacher | None) -> dict[str, Any]:
    weights = {"weights": tensors_digest(model.state_dict())}
    if teacher is None:
        return weights
    return {**weights, "teacher": tensors_digest(teacher.network.state_dict()), "teacher is itself": teacher.itself}
