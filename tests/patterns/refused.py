"""Ways of writing that are refused, each with a part of the line that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.patterns.pattern import SHAPE, Pattern


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class Counting(nn.Module):
    """Keeps a state of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return x * self.calls


class Strange:
    """An output of a class of the user's."""

    def __init__(self, maps):
        self.maps = maps


def quantised():
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(module, nn.Flatten(), nn.Linear(240, 3)), {nn.Linear})


TABLE: dict[str, tuple[Callable[..., Any], str]] = {
    "two inputs": (
        TwoInputs,
        "missing 1 required positional argument: 'y'; wrap it in a module",
    ),
    "state": (Counting, "changes its own 'calls'"),
    "object as output": (lambda s, x: Strange(s.c(x)), "is a Strange; return tensors"),
    "only a constant": (lambda s, x: s.vector * 2, "no output of the module depends on the input"),
    "no output": (lambda s, x: None, "returns no tensor"),
    ".numpy()": (lambda s, x: s.c(x) * float(s.c(x).detach().numpy().mean()), "numpy"),
    "branch on data": (
        lambda s, x: s.d(s.c(x)) if s.c(x).mean() > 0 else s.d(x),
        "depends on the data (a branch, a size or a loop); end the network before it",
    ),
    "convolution after argmax": (
        lambda s, x: s.one(F.one_hot(s.c(x).argmax(1), 8).permute(0, 3, 1, 2).float()),
        "end the network before it",
    ),
    "unknown function": (lambda s, x: torch.erfinv(s.c(x)), "'erfinv' in the root module ("),
    "deep unknown function": (
        lambda: nn.Sequential(nn.Conv2d(4, 4, 3), Unknown()),
        "'erfinv' in module '1' (refused.py:",
    ),
    "cast to whole numbers": (lambda s, x: s.d((s.c(x).int() + 1).float()), "a cast to torch.int32"),
    "Fourier": (lambda s, x: s.e(torch.fft.rfft2(s.c(x)).abs()), "'fft_rfft2' in the root module ("),
    "truths of whole numbers": (lambda s, x: s.d(s.c(x) * (s.c(x).argmax(1) > 1)), "end the network before it"),
    "without batch": (lambda s, x: s.c(x[0])[None], "'conv2d' in module 'c' ("),
    "softplus that bends": (lambda: nn.Softplus(2, 10), "'softplus' in the root module: threshold=10"),
    "channels by truths": (lambda s, x: s.c(x)[:, torch.tensor([True, False] * 4)] * 2, "'index' in the root module ("),
    "int8 module": (quantised, "torch.export cannot trace Sequential"),
}


class Unknown(nn.Module):
    def forward(self, x):
        return torch.erfinv(x)


REFUSED = {name: Pattern(f"refused: {name}", written, SHAPE, refused) for name, (written, refused) in TABLE.items()}
