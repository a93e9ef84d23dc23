"""Comparisons inside a network: maps chosen by what others are, masks multiplied, peaks kept."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.patterns.pattern import patterns


def leaky(s, x):
    y = s.c(x)
    return s.d(torch.where(y > 0, y, 0.1 * y))


def peaks(s, x):
    """Values that are the largest of their neighbourhood, as CenterNet keeps them."""
    heat = torch.sigmoid(s.c(x))
    return heat * (F.max_pool2d(heat, 3, 1, 1) == heat).float()


def masked_attention(s, x):
    """Weights of places that are masked by their values are zero."""
    tokens = s.c(x).flatten(2)
    weights = (tokens[:, :4].transpose(1, 2) @ tokens[:, 4:]).masked_fill(tokens[:, :1] < -0.3, float("-inf"))
    return tokens @ weights.softmax(-1).transpose(1, 2)


def by_constant(s, x):
    chess = (torch.arange(8)[:, None] + torch.arange(12)) % 2 == 0
    return s.d(torch.where(chess, s.c(x), torch.zeros((), dtype=x.dtype)))


def several(s, x):
    y = s.c(x)
    return s.d(torch.where((y > 0) & ~(y > 1) | (y < -1), y, s.e(y)))


TRUTHS = patterns(
    "truth",
    {
        "leaky relu by where": leaky,
        "hard shrink": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.Hardshrink(0.4), nn.Conv2d(6, 3, 1)),
        "soft shrink": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.Softshrink(0.4)),
        "masked fill": lambda s, x: s.d(s.c(x).masked_fill(s.c(x) > 1, 0.0)),
        "choice of two maps": lambda s, x: torch.where(s.c(x) >= 0, s.c(x), s.d(s.c(x))),
        "choice of two numbers": lambda s, x: s.d(torch.where(s.c(x) > 0, 1.0, -1.0).to(x.dtype)),
        "choice by a constant": by_constant,
        "choice by a parameter": lambda s, x: torch.where(s.vector > 1, s.c(x), s.d(s.c(x))),
        "number chosen": lambda s, x: s.d(torch.where(s.c(x) < 0.3, torch.tensor(-1.0, dtype=x.dtype), s.c(x))),
        "mask multiplied": lambda s, x: s.d(s.c(x) * (s.c(x) > 0.2)),
        "mask of a channel": lambda s, x: s.c(x) * (s.one(s.c(x)) > 0).to(x.dtype),
        "unequal": lambda s, x: s.d(s.c(x) * (F.relu(s.c(x)) != 0)),
        "exclusive": lambda s, x: s.d(((s.c(x) > 0) ^ (s.e(s.c(x)) <= 0)).to(x.dtype)),
        "several truths": several,
        "peaks": peaks,
        "clamp by a map": lambda s, x: torch.clamp(s.c(x), min=s.e(s.c(x))),
        "clamp by channels": lambda s, x: s.d(torch.clamp(s.c(x), min=-s.vector, max=s.vector)),
        "masked attention": masked_attention,
    },
)
