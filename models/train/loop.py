"""The training loop: losses, steps, averaged weights, checkpoints; for one process or several.

`train` knows no command line and writes nothing but its checkpoint. What it learns from comes as `Photographs`, how as
`Settings`, pruning as a `Constraint`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fleetpose.errors import UsageError
from fleetpose.interrupt import until_interrupted
from models.preprocess import Preprocessing
from models.spec import ModelSpec
from models.train.average import Average
from models.train.checkpoint import load_checkpoint, remove_checkpoint, save_checkpoint, tensors_digest
from models.train.constraint import Constraint
from models.train.hints import Pupil, Tapped, channels_at, feature_places
from models.train.losses import hint_loss, map_loss
from models.train.memory import keep_freed_memory
from models.train.optimise import make_optimizers, set_rate
from models.train.photographs import Photographs
from models.train.processes import Processes, device_named, joined
from models.train.samples import Batch, Views, batches, normalised
from models.train.settings import Settings


@dataclass(frozen=True)
class Teacher:
    """A trained network, in eval mode, and what it expects of its input."""

    network: nn.Module
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Step:
    """One step that was taken, for a log or a progress line.

    step: counted from 1. progress: fraction of the training done. secs: of training so far, earlier runs included.
    views: in this step. lr: the learning rate. losses: by name, weighted as they are in "loss", their sum.
    """

    step: int
    progress: float
    secs: float
    views: int
    lr: float
    losses: dict[str, float]


Report = Callable[[Step], None]


def train(
    model: nn.Module,
    spec: ModelSpec,
    data: Photographs,
    settings: Settings,
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
        teacher: its last maps are targets of every stage, its features are hints.
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
    place = device_named(device)
    with joined(place) as processes:
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
        settings: Settings,
        teacher: Teacher | None,
        constraint: Constraint | None,
        device: torch.device,
        processes: Processes,
    ) -> None:
        _check(spec, data, settings, teacher, processes)
        self.model, self.spec, self.settings, self.constraint = model, spec, settings, constraint
        self.device, self.processes, self.preprocessing = device, processes, spec.preprocessing
        self.identity = {**settings.identity(), "photographs": data.digest(), **_digests(model, teacher)}
        _placed(model, device).train()
        padding = (128.0, 128.0, 128.0)
        self.views = Views(data, settings, spec.stride, padding)
        self.average = Average(model, settings.ema)
        self.teacher = teacher
        self.pupil, self.tapped_teacher = _pupil_and_teacher(model, teacher, settings, device)
        self.optimizers = make_optimizers(self.pupil, settings)
        self.wrapped = processes.wrapped(self.pupil, device)
        self.precision = _precision(settings.precision, device)
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
        begun, saved = time.monotonic() - self.secs, time.monotonic()
        while self.progress < 1:
            losses, lr = self._learn(next(source).to(self.device))
            self.step += 1
            self.secs, stop = processes.agreed((time.monotonic() - begun, interrupted()))
            self._after_step()
            if report is not None and processes.first:
                report(Step(self.step, self.progress, self.secs, settings.batch, lr, losses))
            if stop or time.monotonic() - saved > settings.checkpoint_secs:
                self.save(checkpoint)
                saved = time.monotonic()
            if stop:
                raise KeyboardInterrupt
        self.save(checkpoint)

    def _learn(self, batch: Batch) -> tuple[dict[str, float], float]:
        """One update of the weights: the losses by name, and the learning rate."""
        lr = set_rate(self.optimizers, self.settings, self.progress)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
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
        settings = self.settings
        stages, features = self.wrapped(normalised(batch.images, self.preprocessing))
        terms = {}
        if settings.label_weight and batch.weight.any():
            terms["labels"] = settings.label_weight * map_loss(stages, batch.heatmaps, batch.pafs, batch.weight)
        if self.tapped_teacher is not None and self.teacher is not None:
            with torch.no_grad():
                soft, hints = self.tapped_teacher(normalised(batch.images, self.teacher.preprocessing))
            everywhere = torch.ones_like(batch.weight)
            terms["soft"] = settings.soft_weight * map_loss(stages, soft[-2].float(), soft[-1].float(), everywhere)
            if features:
                terms["hints"] = settings.hint_weight * hint_loss(features, hints)
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
        state = load_checkpoint(checkpoint, self.identity, self.device) if checkpoint is not None else None
        if state is None:
            return
        self.step, self.secs = state["step"], state["secs"]
        self.pupil.load_state_dict(state["pupil"])
        self.average.network.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
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
        return _placed(self.model, torch.device("cpu"), torch.contiguous_format).eval()


def _check(
    spec: ModelSpec, data: Photographs, settings: Settings, teacher: Teacher | None, processes: Processes
) -> None:
    """Raise UsageError for what cannot be trained together."""
    if tuple(spec.outputs) != ("heatmaps", "pafs"):
        raise UsageError(f"{spec.name} has outputs {', '.join(spec.outputs)}; training is for heatmaps, pafs")
    if teacher is None and not data.annotated:
        raise UsageError("these photographs have no labels to learn from; give --annotations or a --teacher")
    if settings.batch % processes.count:
        raise UsageError(f"--batch {settings.batch} cannot be shared by {processes.count} processes")


def _pupil_and_teacher(
    model: nn.Module, teacher: Teacher | None, settings: Settings, device: torch.device
) -> tuple[Pupil, Tapped | None]:
    if teacher is None:
        return Pupil(model, {}, {}), None
    mine, theirs = feature_places(model), feature_places(teacher.network)
    shared = [name for name in mine if name in theirs] if settings.hint_weight else []
    network = _placed(teacher.network, device).eval().requires_grad_(False)
    channels = {name: channels_at(network, theirs[name]) for name in shared}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        pupil = Pupil(model, {name: mine[name] for name in shared}, channels)
    _placed(pupil, device)
    return pupil, Tapped(network, {name: theirs[name] for name in shared})


def _placed(module: nn.Module, device: torch.device, order: torch.memory_format = torch.channels_last) -> nn.Module:
    """`module` itself, moved. With channels innermost a CPU's steps take 0.8 times as long."""
    module.to(device)
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=order)
    return module


def _digests(model: nn.Module, teacher: Teacher | None) -> dict[str, Any]:
    weights = {"weights": tensors_digest(model.state_dict())}
    return weights if teacher is None else {**weights, "teacher": tensors_digest(teacher.network.state_dict())}


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name != "auto":
        return getattr(torch, name)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
