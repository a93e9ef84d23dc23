"""Activations and gates: torch's own modules and functions, and those that are written out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.patterns.pattern import patterns


class Gate(nn.Module):
    """Squeeze-excite as a module, pooled in the way given."""

    def __init__(self, pool, last):
        super().__init__()
        self.pool, self.last = pool, last
        self.down, self.widen = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)

    def forward(self, x):
        return x * self.last(self.widen(torch.relu(self.down(self.pool(x)))))


class LinearGate(nn.Module):
    """Squeeze-excite as SENet writes it, with linear layers."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(4, 2), nn.ReLU(inplace=True), nn.Linear(2, 4), nn.Sigmoid())

    def forward(self, x):
        batch, channels, _, _ = x.size()
        y = self.fc(self.pool(x).view(batch, channels)).view(batch, channels, 1, 1)
        return x * y.expand_as(x)


class Efficient(nn.Module):
    """ECA: a one-dimensional convolution over channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv(x.mean((2, 3), keepdim=True).squeeze(-1).transpose(-1, -2))
        return x * torch.sigmoid(y.transpose(-1, -2).unsqueeze(-1))


class ChannelAndSpace(nn.Module):
    """CBAM."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1))
        self.space = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x):
        x = x * torch.sigmoid(self.mlp(F.adaptive_avg_pool2d(x, 1)) + self.mlp(F.adaptive_max_pool2d(x, 1)))
        both = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
        return x * torch.sigmoid(self.space(both))


class Coordinate(nn.Module):
    """Coordinate attention: pools along rows and along columns."""

    def __init__(self):
        super().__init__()
        self.mix, self.rows, self.columns = nn.Conv2d(4, 3, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x):
        height, width = x.shape[2:]
        rows = F.adaptive_avg_pool2d(x, (height, 1))
        columns = F.adaptive_avg_pool2d(x, (1, width)).permute(0, 1, 3, 2)
        rows, columns = F.hardswish(self.mix(torch.cat([rows, columns], 2))).split([height, width], 2)
        return x * self.rows(rows).sigmoid() * self.columns(columns.permute(0, 1, 3, 2)).sigmoid()


class Selective(nn.Module):
    """SKNet's choice between two branches by softmax."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 2, 2)
        self.down, self.gates = nn.Linear(4, 2), nn.Linear(2, 8)

    def forward(self, x):
        branches = torch.stack([self.one(x), self.two(x)], 1)
        gates = self.gates(torch.relu(self.down(branches.sum(1).mean((2, 3))))).view(-1, 2, 4).softmax(1)
        return (branches * gates[:, :, :, None, None]).sum(1)


def simam(y):
    squares = (y - y.mean((2, 3), keepdim=True)) ** 2
    return y * torch.sigmoid(squares / (4 * (squares.sum((2, 3), keepdim=True) / 95 + 1e-4)) + 0.5)


def after(activation):
    return lambda: nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), activation)


ACTIVATIONS = patterns(
    "activation",
    {
        "relu": after(nn.ReLU(inplace=True)),
        "relu6": after(nn.ReLU6()),
        "leaky relu": after(nn.LeakyReLU(0.1)),
        "prelu": after(nn.PReLU(6)),
        "prelu of one slope": after(nn.PReLU()),
        "elu": after(nn.ELU(0.7)),
        "selu": after(nn.SELU()),
        "celu": after(nn.CELU(0.5)),
        "gelu": after(nn.GELU()),
        "gelu tanh": after(nn.GELU("tanh")),
        "silu": after(nn.SiLU(inplace=True)),
        "mish": after(nn.Mish()),
        "tanh": after(nn.Tanh()),
        "sigmoid": after(nn.Sigmoid()),
        "log sigmoid": after(nn.LogSigmoid()),
        "hard sigmoid": after(nn.Hardsigmoid()),
        "hard swish": after(nn.Hardswish(inplace=True)),
        "hard tanh": after(nn.Hardtanh(-2, 0.5)),
        "softplus": after(nn.Softplus(2, 30)),
        "softsign": after(nn.Softsign()),
        "tanhshrink": after(nn.Tanhshrink()),
        "threshold": after(nn.Threshold(0.1, 0.3)),
        "rrelu": after(nn.RReLU()),
        "glu": after(nn.GLU(1)),
        "softmax over channels": after(nn.Softmax(1)),
        "softmax2d": after(nn.Softmax2d()),
        "log softmax": after(nn.LogSoftmax(1)),
        "softmin": after(nn.Softmin(1)),
        "identity": after(nn.Identity()),
        "dropout": after(nn.Dropout2d(0.5)),
        "alpha dropout": after(nn.AlphaDropout(0.5)),
        "functional dropout": lambda s, x: F.dropout(s.c(x), 0.3, s.training),
        "functional relu": lambda s, x: F.relu(s.c(x), inplace=True),
        "relu_": lambda s, x: s.c(x).relu_(),
        "clamp": lambda s, x: s.c(x).clamp(0, 6),
        "clamp below": lambda s, x: s.c(x).clamp(min=0),
        "clip": lambda s, x: torch.clip(s.c(x), -1, 1),
        "clamp_": lambda s, x: s.c(x).clamp_(0, 1),
        "maximum of zeros": lambda s, x: torch.max(y := s.c(x), torch.zeros_like(y)),
        "leaky by maximum": lambda s, x: torch.maximum(y := s.c(x), 0.1 * y),
        "relu by product": lambda s, x: ((y := s.c(x)) + y.abs()) / 2,
        "swish": lambda s, x: (y := s.c(x)) * torch.sigmoid(y),
        "swish of a method": lambda s, x: (y := s.c(x)).mul(y.sigmoid()),
        "swish in place": lambda s, x: (y := s.c(x)).mul_(y.sigmoid()),
        "swish with beta": lambda s, x: (y := s.c(x)) * torch.sigmoid(s.number * y),
        "hard swish by relu6": lambda s, x: (y := s.c(x)) * F.relu6(y + 3) / 6,
        "hard swish by clamp": lambda s, x: (y := s.c(x)) * (y + 3).clamp(0, 6) * (1 / 6),
        "hard sigmoid by relu6": lambda s, x: F.relu6(s.c(x) + 3.0, inplace=True) / 6.0,
        "quick gelu": lambda s, x: (y := s.c(x)) * torch.sigmoid(1.702 * y),
        "gelu by erf": lambda s, x: (y := s.c(x)) * 0.5 * (1.0 + torch.erf(y / 2**0.5)),
        "gelu by tanh": lambda s, x: (
            0.5 * (y := s.c(x)) * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (y + 0.044715 * y**3)))
        ),
        "mish by hand": lambda s, x: (y := s.c(x)) * torch.tanh(F.softplus(y)),
        "mish by logarithm": lambda s, x: (y := s.c(x)) * torch.tanh(torch.log(1 + torch.exp(y))),
        "sigmoid by hand": lambda s, x: 1 / (1 + torch.exp(-s.c(x))),
        "tanh by hand": lambda s, x: 2 * torch.sigmoid(2 * s.c(x)) - 1,
        "squared relu": lambda s, x: torch.relu(s.c(x)) ** 2,
        "star relu": lambda s, x: s.number * F.relu(s.c(x)) ** 2 + s.weights[0],
        "sine": lambda s, x: torch.sin(s.c(x)),
        "exponential": lambda s, x: s.c(x).exp(),
        "logarithm": lambda s, x: torch.log(s.c(x).abs() + 1e-3),
        "log1p": lambda s, x: torch.log1p(s.c(x).abs()),
        "absolute": lambda s, x: torch.abs(s.c(x)),
        "root": lambda s, x: torch.sqrt(s.c(x) ** 2 + 1e-2),
        "softmax by hand": lambda s, x: (y := s.c(x).exp()) / y.sum(1, keepdim=True),
        "softmax over space": lambda s, x: s.c(x).flatten(2).softmax(-1).view(1, 8, 8, 12),
        "glu by chunks": lambda s, x: (y := s.c(x).chunk(2, 1))[0] * torch.sigmoid(y[1]),
        "simple gate": lambda s, x: torch.mul(*s.c(x).chunk(2, dim=1)),
        "maxout": lambda s, x: torch.max(*s.c(x).split(4, 1)),
        "maxout by view": lambda s, x: s.c(x).view(1, 4, 2, 8, 12).max(2)[0],
        "concatenated relu": lambda s, x: torch.cat([F.relu(y := s.c(x)), F.relu(-y)], 1),
        "softmax with temperature": lambda s, x: F.softmax(s.c(x) / 0.5, dim=1),
        "nn.functional.tanh": lambda s, x: F.tanh(s.c(x)),
        "logit": lambda s, x: torch.logit(torch.sigmoid(s.c(x)) * 0.9 + 0.05),
    },
)

GATES = patterns(
    "gate",
    {
        "squeeze-excite": lambda: Gate(nn.AdaptiveAvgPool2d(1), nn.Sigmoid()),
        "squeeze-excite, hard": lambda: Gate(nn.AdaptiveAvgPool2d((1, 1)), nn.Hardsigmoid()),
        "squeeze-excite by mean": lambda: Gate(lambda x: x.mean((2, 3), keepdim=True), torch.sigmoid),
        "squeeze-excite by window": lambda: Gate(lambda x: F.avg_pool2d(x, x.shape[2:]), torch.sigmoid),
        "squeeze-excite by means": lambda: Gate(lambda x: x.mean(3, True).mean(2, True), torch.sigmoid),
        "squeeze-excite by maximum": lambda: Gate(nn.AdaptiveMaxPool2d(1), nn.Sigmoid()),
        "squeeze-excite by sum": lambda: Gate(lambda x: x.sum((2, 3), keepdim=True) / 96, torch.sigmoid),
        "squeeze-excite by view": lambda: Gate(lambda x: x.view(1, 4, -1).mean(-1).view(1, 4, 1, 1), torch.sigmoid),
        "squeeze-excite by linear layers": LinearGate,
        "efficient channel attention": Efficient,
        "CBAM": ChannelAndSpace,
        "coordinate attention": Coordinate,
        "selective kernels": Selective,
        "spatial": lambda s, x: (y := s.c(x)) * torch.sigmoid(s.one(y)),
        "spatial by mean": lambda s, x: (y := s.c(x)) * y.mean(1, keepdim=True).sigmoid(),
        "residual": lambda s, x: (y := s.c(x)) + y * torch.sigmoid(s.d(y)),
        "effective squeeze-excite": lambda s, x: (y := s.c(x)) * F.hardsigmoid(s.e(F.adaptive_avg_pool2d(y, 1))),
        "global context": lambda s, x: (
            (y := s.c(x)) + s.e((y.flatten(2) @ s.one(y).flatten(2).softmax(-1).transpose(1, 2))[..., None])
        ),
        "SimAM": lambda s, x: simam(s.c(x)),
        "global response norm": lambda s, x: (
            (y := s.c(x)) + s.vector * (y * ((g := y.norm(2, (2, 3), True)) / (g.mean(1, True) + 1e-6)))
        ),
        "layer scale": lambda s, x: (y := s.c(x)) + s.vector * s.d(y),
        "stochastic depth": lambda s, x: (y := s.c(x)) + F.dropout(s.d(y), 0.1, s.training),
    },
)
