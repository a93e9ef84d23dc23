"""Where a training computes, how its tensors lie there, and in which arithmetic."""

from __future__ import annotations

import os

import torch
from torch import nn

from fleetpose.errors import UsageError


def device_of_name(name: str) -> torch.device:
    """ "auto", "cpu" or "cuda"; of several GPUs, the one torchrun gave this process. Raises UsageError."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError("--device cuda: PyTorch sees no GPU here; --device cpu")
    if name == "cpu" or not available:
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def place_on(module: nn.Module, device: torch.device, order: torch.memory_format = torch.channels_last) -> nn.Module:
    """`module` itself, moved. With channels innermost a CPU's steps take 0.8 times as long."""
    module.to(device)
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=order)
    return module


def arithmetic(name: str, device: torch.device) -> torch.dtype:
    """The type of a forward pass's numbers: "float32", "bfloat16", "float16", or what suits the device by "auto"."""
    if name != "auto":
        return getattr(torch, name)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
