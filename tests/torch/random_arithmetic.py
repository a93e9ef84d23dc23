"""Random small networks of arithmetic: sums, products and quotients of maps and constants, and activations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

#: keep magnitudes near 1, so that quotients and exponentials of what came before stay finite
BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "rsub": lambda x, y: torch.rsub(x, y, alpha=0.5),
    "scaled": lambda x, y: torch.add(x, y, alpha=-1.5),
    "mul": lambda x, y: torch.tanh(x) * y,
    "gate": lambda x, y: x * torch.sigmoid(y),
    "div": lambda x, y: x / (1 + y.abs()),
    "div by exp": lambda x, y: x / torch.exp(torch.tanh(y)),
    "max": torch.maximum,
    "min": torch.min,
}
UNARY = {
    "relu": F.relu,
    "negative": torch.neg,
    "reflected": lambda x: 1 - x,
    "halved": lambda x: x / 2,
    "scaled": lambda x: x * 0.7 + 0.1,
    "mish": F.mish,
    "hardswish": lambda x: x * F.relu6(x + 3) / 6,
    "quick gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "celu": lambda x: F.celu(x, 0.8),
    "selu": F.selu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "square": lambda x: torch.tanh(x) ** 2,
    "root": lambda x: (x.abs() + 0.1).sqrt(),
    "clamp": lambda x: x.clamp(-0.5, 1.5),
    "in place": lambda x: x.clone().mul_(0.5).add_(1).relu_(),
}
KINDS = (
    "binary",
    "binary",
    "binary",
    "constant",
    "constant",
    "unary",
    "unary",
    "conv",
    "norm",
    "pool",
    "mean",
    "prelu",
)


class RandomArithmetic(nn.Module):
    """Runs `plan`, a list of (kind, two numbers to choose by, a settings number), over all tensors made so far."""

    def __init__(self, shape, plan, outputs, seed=0):
        super().__init__()
        self.parts = nn.ModuleList()
        self.values = nn.ParameterList()
        self.generator = torch.Generator().manual_seed(seed)
        self.steps = []
        self.sizes = [tuple(shape)]
        for kind, first, second, setting in plan:
            self._plan(kind, first % len(self.sizes), second % len(self.sizes), setting)
        # the last one too, so that most of the plan counts
        self.outputs = sorted({len(self.sizes) - 1, *(index % len(self.sizes) for index in outputs)})

    def _plan(self, kind, at, other, setting):
        shape = self.sizes[at]
        if kind == "binary" and self._broadcast(shape, self.sizes[other]):
            names = list(BINARY)
            self._keep(BINARY[names[setting % len(names)]], (at, other), self._broadcast(shape, self.sizes[other]))
        elif kind == "constant":
            self._plan_constant(at, setting)
        elif kind == "unary":
            self._keep(list(UNARY.values())[setting % len(UNARY)], (at,), shape)
        elif kind == "conv":
            part = nn.Conv2d(shape[0], 1 + setting % 5, 1 + 2 * (setting // 5 % 2), padding="same")
            self._keep(self._own(part), (at,), (part.out_channels, *shape[1:]))
        elif kind == "norm":
            self._keep(self._own(nn.BatchNorm2d(shape[0])), (at,), shape)
        elif kind == "prelu":
            self._keep(self._own(nn.PReLU(shape[0])), (at,), shape)
        elif kind == "pool" and min(shape[1:]) > 1:
            self._keep(nn.AvgPool2d(3, 1, 1) if setting % 2 else nn.MaxPool2d(3, 1, 1), (at,), shape)
        elif kind == "mean":
            self._keep(lambda x: x.mean((2, 3), keepdim=True), (at,), (shape[0], 1, 1))

    def _plan_constant(self, at, setting):
        """A step with a number, or with a parameter of a random part of the tensor's axes, on either side."""
        shape = self.sizes[at]
        axes = [extent if setting >> axis & 1 else 1 for axis, extent in enumerate(shape)]
        names = list(BINARY)
        step = BINARY[names[setting // 16 % len(names)]]
        number = len(self.values)
        self.values.append(nn.Parameter(torch.randn(*axes, generator=self.generator)))
        if setting >> 3 & 1:
            self._keep(lambda x: step(self.values[number], x), (at,), shape)
        else:
            self._keep(lambda x: step(x, self.values[number]), (at,), shape)

    def _broadcast(self, shape, other):
        return tuple(torch.broadcast_shapes(shape, other)) if self._fits(shape, other) else None

    def _fits(self, shape, other):
        return all(a == b or 1 in (a, b) for a, b in zip(shape, other, strict=True))

    def _own(self, part):
        self.parts.append(part)
        return part

    def _keep(self, function, sources, shape):
        self.steps.append((function, sources))
        self.sizes.append(tuple(shape))

    def forward(self, x):
        tensors = [x]
        for function, sources in self.steps:
            tensors.append(function(*(tensors[index] for index in sources)))
        return [tensors[index] for index in self.outputs]


step = st.tuples(st.sampled_from(KINDS), st.integers(0, 50), st.integers(0, 50), st.integers(0, 255))
plans = st.lists(step, min_size=2, max_size=12)
