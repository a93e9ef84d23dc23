"""Ways of writing that no layer of ours expresses, and that fall back to TVM's kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.patterns.pattern import patterns

FALLBACKS = patterns(
    "fallback",
    {
        "sampled by data": lambda s, x: F.grid_sample(
            s.c(x), torch.tanh(s.down(s.c(x))).permute(0, 2, 3, 1), align_corners=False
        ),
        "sampled by constants": lambda s, x: F.grid_sample(
            s.c(x), torch.linspace(-1.2, 1.3, 130).reshape(1, 5, 13, 2), align_corners=True
        ),
        "convolution of time": lambda s, x: F.conv3d(x[:, :, None], s.c.weight[:, :, None]),
        "gather": lambda s, x: s.c(x).gather(1, torch.ones(1, 2, 8, 12).long()) * 2,
    },
)
