"""Optimizers and learning rates of the recipes."""

from __future__ import annotations

import math

import torch
from torch import nn

from models.train.settings import Settings

_LR = {"cosine": 2e-3, "lwop": 4e-5}
_DECAY = {"cosine": 1e-2, "lwop": 5e-4}
#: Lightweight OpenPose's refinement stages learn this many times as fast, and its rate falls so at these epochs of 280.
_REFINEMENT, _FALL, _FALLS = 4.0, 0.333, (100 / 280, 200 / 280, 260 / 280)
#: Of the highest rate, where warm-up starts.
_COLD = 0.01


def make_optimizer(module: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW, or Adam for "lwop". Biases and the parameters of norms do not decay."""
    lr = _LR[settings.recipe] if settings.lr is None else settings.lr
    decay = _DECAY[settings.recipe] if settings.weight_decay is None else settings.weight_decay
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        faster = settings.recipe == "lwop" and ".refinement_stages." in f".{name}"
        key = (lr * (_REFINEMENT if faster else 1), decay if parameter.ndim > 1 else 0.0)
        groups.setdefault(key, []).append(parameter)
    listed = [{"params": each, "lr": rate, "weight_decay": decay} for (rate, decay), each in groups.items()]
    kind = torch.optim.Adam if settings.recipe == "lwop" else torch.optim.AdamW
    optimizer = kind(listed)
    for group in optimizer.param_groups:
        group["highest"] = group["lr"]
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, settings: Settings, progress: float) -> float:
    """Set every group's learning rate for `progress` (0 to 1); answers the first group's."""
    factor = rate(settings, progress)
    for group in optimizer.param_groups:
        group["lr"] = group["highest"] * factor
    return optimizer.param_groups[0]["lr"]


def rate(settings: Settings, progress: float) -> float:
    """The learning rate at `progress`, as a fraction of the highest."""
    if settings.recipe == "lwop":
        return _FALL ** sum(progress >= fall for fall in _FALLS)
    if progress < settings.warmup:
        return max(_COLD, progress / settings.warmup)
    return (1 + math.cos(math.pi * (progress - settings.warmup) / (1 - settings.warmup))) / 2
