"""Ways of writing that no layer of ours expresses: they fall back to TVM's kernels, or are others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.patterns.pattern import patterns


class Recurrent(nn.Module):
    """Rows as a sequence."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(12, 5)

    def forward(self, x):
        return self.cell(x[0])[0]


FALLBACKS = patterns(
    "fallback",
    {
        "sampled by data": lambda s, x: F.grid_sample(
            s.c(x), torch.tanh(s.down(s.c(x))).permute(0, 2, 3, 1), align_corners=False
        ),
        "sampled by constants": lambda s, x: F.grid_sample(
            s.c(x), torch.linspace(-1.2, 1.3, 130).reshape(1, 5, 13, 2).to(x), align_corners=True
        ),
        "convolution of three axes": lambda s, x: F.conv3d(
            s.c(x).unflatten(1, (2, 4)), s.c.weight.unflatten(1, (2, 2)), padding=1
        ),
        "kernel from data": lambda s, x: F.conv2d(s.c(x), s.c(x)[0, :, None, :3, :3], padding=1, groups=8),
        "products of three": lambda s, x: torch.einsum("bchw,bdhw,bdhv->bcdv", s.c(x), s.d(s.c(x)), s.d(s.c(x))),
        "hyperbolic sine": lambda s, x: s.d(torch.sinh(s.c(x))),
        "remainder": lambda s, x: torch.remainder(s.c(x).flatten(2), 0.5) * 2,
        "warp by an affine map": lambda s, x: F.grid_sample(
            s.c(x), F.affine_grid(s.c(x)[:, 0, :2, :3], (1, 8, 5, 7), align_corners=True), align_corners=True
        ),
        "gather": lambda s, x: s.c(x).gather(1, torch.ones(1, 2, 8, 12).long()) * 2,
    },
)

#: ways of writing that become others while a program is prepared for reading, and run on kernels of ours
DECOMPOSED = patterns(
    "decomposed",
    {
        "unfold": lambda s, x: F.unfold(s.c(x), 3).relu(),
        "unfold with all settings": lambda s, x: F.unfold(s.c(x), (3, 2), (1, 2), (1, 2), (2, 1)).relu(),
        "fold": lambda s, x: s.d(F.fold(F.unfold(s.c(x), 3, padding=1), (8, 12), 3, padding=1)),
        "fold with a stride": lambda s, x: F.fold(F.unfold(s.c(x), 3, stride=2).relu(), (8, 12), 3, stride=2),
        "lower triangles": lambda s, x: s.d(s.c(x).tril(1)),
        "upper triangles": lambda s, x: s.d(torch.triu(s.c(x), -2)),
        "cumulated channels": lambda s, x: s.d(s.c(x).cumsum(1)),
        "cumulated columns": lambda s, x: s.d(s.c(x).cumsum(-1)),
        "cumulated tokens": lambda s, x: s.c(x).flatten(2).transpose(1, 2).cumsum(1) * 2,
        "diff": lambda s, x: torch.diff(s.c(x)).relu(),
        "diff of rows twice": lambda s, x: torch.diff(s.c(x), n=2, dim=2).relu(),
        "local response": lambda: nn.LocalResponseNorm(2),
        "means of three axes": lambda s, x: (
            F.avg_pool3d(s.c(x).unflatten(1, (2, 4)), (2, 3, 2), (1, 2, 2), (1, 1, 0)) * 2
        ),
        "convolution of time": lambda s, x: F.conv3d(x[:, :, None], s.c.weight[:, :, None]),
        "convolution of two of three axes": lambda s, x: F.conv3d(
            x.unflatten(1, (2, 2)), s.c.weight[:, :2, None], s.c.bias, padding=(0, 1, 0)
        ),
        "pad of tokens": lambda s, x: F.pad(s.c(x).flatten(2).transpose(1, 2), (0, 1, 2, 3)) * 2,
        "pad of a matrix": lambda s, x: F.pad(s.c(x)[0].flatten(1), (1, -2, -1, 2), value=3.0).relu(),
        "reflected tokens": lambda s, x: F.pad(s.c(x).flatten(2), (2, 3), mode="reflect").relu(),
        "relative positions": lambda s, x: (
            F.pad(F.pad(s.c(x)[0, :, :6, :11], (0, 1)).flatten(1), (0, 5)).reshape(8, 7, 11)[:, :6, 5:].relu()
        ),
        "LSTM": Recurrent,
        "cosines": lambda s, x: F.cosine_similarity(s.c(x), s.d(s.c(x)), 1) * 2,
        "positions of two axes": lambda s, x: s.c(x)[:, :, torch.tensor([1, 3, 0]), torch.tensor([5, 7, 2])] * 2,
        "positions of a grid": lambda s, x: s.c(x)[:, torch.tensor([[1], [3]]), :, torch.tensor([[5, 7, 2]])] * 2,
    },
)
