"""Optimizers and learning rates of the recipes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Adam, AdamW

from models.train.optimiser.muon import Muon
from models.train.settings import TrainSettings

_LR = {"muon": 5e-3, "adamw": 2e-3, "lwop": 4e-5}
_DECAY = {"muon": 1e-2, "adamw": 1e-2, "lwop": 5e-4}
_Kind = type[Adam] | type[AdamW] | type[Muon]

#: Lightweight OpenPose's refinement stages learn this many times as fast, and its rate falls so at these epochs of 280.
_REFINEMENT, _FALL, _FALLS = 4.0, 0.333, (100 / 280, 200 / 280, 260 / 280)
#: Of the highest rate, where warm-up starts.
_COLD = 0.01


def make_optimizers(module: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """The recipe's optimizers: AdamW; Muon for matrices and AdamW for the rest; or Lightweight OpenPose's Adam.

    Biases, norms' parameters and depthwise kernels, which are no matrices, do not decay.
    """
    lr = _LR[settings.recipe] if settings.lr is None else settings.lr
    decay = _DECAY[settings.recipe] if settings.weight_decay is None else settings.weight_decay
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        matrix = parameter.ndim > 1 and parameter.shape[1] > 1
        faster = settings.recipe == "lwop" and ".refinement_stages." in f".{name}"
        groups.setdefault((matrix, lr * (_REFINEMENT if faster else 1)), []).append(parameter)
    listed: dict[_Kind, list[dict[str, Any]]] = {}
    for (matrix, rate), parameters in groups.items():
        group = {"params": parameters, "lr": rate, "highest": rate, "weight_decay": decay if matrix else 0.0}
        listed.setdefault(_kind(settings.recipe, matrix), []).append(group)
    return [kind(parameter_groups) for kind, parameter_groups in listed.items()]


def _kind(recipe: str, matrix: bool) -> _Kind:
    if recipe == "lwop":
        return Adam
    return Muon if recipe == "muon" and matrix else AdamW


def set_rate(optimizers: list[torch.optim.Optimizer], settings: TrainSettings, progress: float) -> float:
    """Set every group's learning rate for `progress` (0 to 1); answers the first group's."""
    factor = rate(settings, progress)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * factor
    return optimizers[0].param_groups[0]["lr"]


def rate(settings: TrainSettings, progress: float) -> float:
    """The learning rate at `progress`, as a fraction of the highest."""
    if settings.recipe == "lwop":
        return _FALL ** sum(progress >= fall for fall in _FALLS)
    if progress < settings.warmup:
        return max(_COLD, progress / settings.warmup)
    return (1 + math.cos(math.pi * (progress - settings.warmup) / (1 - settings.warmup))) / 2
