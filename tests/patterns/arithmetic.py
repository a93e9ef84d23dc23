"""Arithmetic, constants, preprocessing and kinds of numbers inside a forward."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.patterns.pattern import patterns


class Normalise(nn.Module):
    """Preprocessing as a module: numbers as buffers, or in a tuple."""

    def __init__(self, buffers=True):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, 2, 1)
        self.buffers_used = buffers
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, x):
        if self.buffers_used:
            return self.conv((x / 255.0 - self.mean) / self.std)
        planes = [(x[:, i : i + 1] - m) / d for i, (m, d) in enumerate(((0.4, 0.2), (0.5, 0.3), (0.6, 0.25)))]
        return self.conv(torch.cat(planes, 1))


class WeightedSum(nn.Module):
    """BiFPN's fast normalised fusion."""

    def __init__(self):
        super().__init__()
        self.w, self.a, self.b = nn.Parameter(torch.rand(2)), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        w = F.relu(self.w)
        w = w / (w.sum(dim=0) + 1e-4)
        return F.silu(w[0] * self.a(x) + w[1] * self.b(x))


class Scaled(nn.Module):
    """FCOS's learned number on a head."""

    def __init__(self):
        super().__init__()
        self.head, self.scale = nn.Conv2d(4, 5, 3, 1, 1), nn.Parameter(torch.tensor(1.3))

    def forward(self, x):
        return torch.exp(self.head(x) * self.scale)


def in_place(s, x):
    y = s.c(x)
    y += s.d(y)
    y *= 0.5
    y -= 1
    return y / 3


def rows_set(s, x):
    y = s.c(x)
    y[:, :2] = torch.sigmoid(y[:, :2])
    return y * 1


def channels_scaled(s, x):
    y = s.c(x).clone()
    y[:, 0::2] *= 2.0
    y[:, 1] = 0
    return s.d(y)


ARITHMETIC = patterns(
    "arithmetic",
    {
        "sum": lambda s, x: (y := s.c(x)) + s.d(y),
        "difference": lambda s, x: (y := s.c(x)) - s.d(y),
        "product": lambda s, x: (y := s.c(x)) * s.d(y),
        "quotient": lambda s, x: (y := s.c(x)) / (s.d(y).abs() + 0.5),
        "true_divide": lambda s, x: torch.true_divide(s.c(x), 3),
        "plus a number": lambda s, x: s.c(x) + 3,
        "plus nothing": lambda s, x: s.c(x) + 0,
        "times one": lambda s, x: s.c(x) * 1.0,
        "number minus map": lambda s, x: 1 - s.c(x),
        "negative": lambda s, x: s.c(x).neg(),
        "minus": lambda s, x: -s.c(x),
        "reciprocal": lambda s, x: 1.0 / (s.c(x).abs() + 1),
        "square": lambda s, x: s.c(x).square(),
        "torch.pow": lambda s, x: torch.pow(s.c(x), 2),
        "alpha": lambda s, x: torch.add(y := s.c(x), s.d(y), alpha=0.3),
        "torch.sub": lambda s, x: torch.sub(y := s.c(x), s.d(y), alpha=2),
        "addcmul": lambda s, x: torch.addcmul(y := s.c(x), s.d(y), s.e(y), value=0.5),
        "addcdiv": lambda s, x: torch.addcdiv(y := s.c(x), s.d(y), s.e(y).abs() + 1),
        "lerp": lambda s, x: torch.lerp(y := s.c(x), s.d(y), 0.3),
        "lerp by a map": lambda s, x: torch.lerp(y := s.c(x), s.d(y), torch.sigmoid(s.one(y))),
        "sum of a list": lambda s, x: sum([y := s.c(x), s.d(y), s.e(y)]),
        "mean of a stack": lambda s, x: torch.stack([y := s.c(x), s.d(y), s.e(y)]).mean(0),
        "sum of a stack": lambda s, x: torch.stack([y := s.c(x), s.d(y)], dim=1).sum(dim=1),
        "largest of a stack": lambda s, x: torch.stack([y := s.c(x), s.d(y)], -1).amax(-1),
        "functools": lambda s, x: torch.add(torch.add(y := s.c(x), s.d(y)), s.e(y)) / 3,
        "in place": in_place,
        "FloatFunctional": lambda: Quantisable(),
        "learned scale": Scaled,
        "learned scale by channel": lambda s, x: s.c(x) * s.vector,
        "learned shift": lambda s, x: s.c(x) + s.vector.view(1, -1, 1, 1),
        "weighted sum": WeightedSum,
        "softmaxed weights": lambda s, x: (
            (w := s.weights.softmax(0))[0] * (y := s.c(x)) + w[1] * s.d(y) + w[2] * s.e(y)
        ),
        "tril of constants": lambda s, x: s.c(x) * torch.ones(8, 12).tril(),
        "coordinates": lambda s, x: s.d(
            s.c(x) + torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")).sum(0)
        ),
        "coordinate channels": lambda: CoordConv(),
        "zeros joined": lambda s, x: s.d(torch.cat([y := s.c(x)[:, :6], torch.zeros_like(y[:, :2])], 1)),
        "new_zeros joined": lambda s, x: s.d(torch.cat([(y := s.c(x)[:, :6]), y.new_zeros(1, 2, 8, 12)], 1)),
        "full": lambda s, x: s.c(x) * torch.full((1, 8, 1, 1), 0.5),
        "ones_like": lambda s, x: torch.ones_like(y := s.c(x)) - y,
        "position embedding": lambda: Embedded(),
        "norm of channels": lambda s, x: F.normalize(s.c(x), dim=1),
        "norm by hand": lambda s, x: (y := s.c(x)) / (y.pow(2).sum(1, keepdim=True).sqrt() + 1e-6),
        "norm over space": lambda s, x: (y := s.c(x)) / y.norm(dim=(2, 3), keepdim=True),
        "linalg.norm": lambda s, x: (y := s.c(x)) / torch.linalg.vector_norm(y, dim=1, keepdim=True),
        "deviation": lambda s, x: (y := s.c(x)) / (y.std((2, 3), keepdim=True) + 1),
        "variance": lambda s, x: (y := s.c(x)) / torch.sqrt(y.var((2, 3), keepdim=True, unbiased=False) + 1e-5),
        "largest as scale": lambda s, x: (y := s.c(x)) / y.abs().amax((1, 2, 3), keepdim=True),
        "min-max": lambda s, x: min_max(s.c(x)),
        "log-sum-exp": lambda s, x: (y := s.c(x)) - torch.logsumexp(y, 1, keepdim=True),
        "cumulated": lambda s, x: s.d(s.c(x)).sum(1, keepdim=True),
        "product with a matrix": lambda s, x: torch.einsum("oc,bchw->bohw", s.e.weight[:, :, 0, 0], s.c(x)),
        "rows set in place": rows_set,
        "channels scaled in place": channels_scaled,
        "checkpointed": lambda s, x: torch.utils.checkpoint.checkpoint(s.d, s.c(x), use_reentrant=False),
        "no_grad": lambda s, x: with_no_grad(s, x),
        "asserts": lambda s, x: asserted(s, x),
    },
)

PREPROCESSING = patterns(
    "preprocessing",
    {
        "mean and deviation": lambda s, x: s.c((x - s.mean) / s.deviation),
        "x / 255": lambda s, x: s.c(x / 255),
        "x.div(255)": lambda s, x: s.c(x.div(255.0).sub(0.5).mul(2)),
        "between -1 and 1": lambda s, x: s.c(x / 127.5 - 1),
        "unpadded": lambda s, x: F.conv2d((x - s.mean) / s.deviation, s.c.weight),
        "module": (lambda: Normalise(), (3, 9, 12)),
        "by channel": (lambda: Normalise(False), (3, 9, 12)),
        "BGR by flip": (lambda s, x: s.c(x.flip(1)), (3, 9, 12)),
        "BGR by a list": (lambda s, x: s.c(x[:, [2, 1, 0]]), (3, 9, 12)),
        "BGR by a range": (lambda s, x: s.c(x[:, torch.arange(2, -1, -1)]), (3, 9, 12)),
        "grey": (
            lambda s, x: s.c((x * torch.tensor([0.3, 0.6, 0.1]).view(1, 3, 1, 1)).sum(1, True).repeat(1, 3, 1, 1)),
            (3, 9, 12),
        ),
        "resized inside": (
            lambda s, x: s.c(F.interpolate(x, (8, 10), mode="bilinear", align_corners=False)),
            (3, 9, 12),
        ),
        "padded to a multiple": (lambda s, x: s.c(F.pad(x, (0, -x.shape[3] % 8, 0, -x.shape[2] % 8))), (3, 9, 12)),
        "Focus": (
            lambda s, x: s.c(
                torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)[:, :3]
            ),
            (3, 8, 12),
        ),
        "cropped": lambda s, x: s.c(x[:, :, 1:-1, 2:-2]),
        "flip test": lambda s, x: (s.c(x) + s.c(x.flip(3)).flip(3)) / 2,
    },
)

KINDS = patterns(
    "kind of numbers",
    {
        "float64": lambda: nn.Conv2d(4, 6, 3).double(),
        "float16": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU()).half(),
        "bfloat16": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU()).bfloat16(),
        "type_as": lambda s, x: s.c(x).type_as(x),
        "to the weight's": lambda s, x: s.d(s.c(x).to(s.d.weight.dtype)),
        "to a device": lambda s, x: s.c(x).to(x.device),
        "to with copy": lambda s, x: s.c(x).to(x, copy=True),
        "torch.empty_like": lambda s, x: s.c(x) + torch.zeros(1, dtype=x.dtype, device=x.device),
        "size arithmetic": lambda s, x: F.interpolate(s.c(x), size=(x.shape[2] // 2, int(x.shape[3] * 0.5))),
        "numel": lambda s, x: s.c(x) / x[0, 0].numel(),
    },
)
SINGLE = patterns(
    "kind of numbers",
    {
        "x.float()": lambda s, x: s.c(x.float()),
        "x.float() / 255": lambda s, x: s.c(x.float() / 255),
        "float32 inside": lambda s, x: s.d(s.c(x).to(torch.float32)),
        "type by name": lambda s, x: s.c(x.type(torch.FloatTensor)),
        "autocast": lambda s, x: autocast(s, x),
        "half on the way": lambda s, x: s.d(s.c(x).half().float()),
    },
    single=True,
)


class Quantisable(nn.Module):
    """Sums as quantised networks write them."""

    def __init__(self):
        super().__init__()
        self.conv, self.add = nn.Conv2d(4, 4, 3, 1, 1), torch.ao.nn.quantized.FloatFunctional()
        self.into, self.out = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()

    def forward(self, x):
        x = self.into(x)
        return self.out(self.add.add_relu(self.conv(x), self.add.mul_scalar(x, 0.5)))


class CoordConv(nn.Module):
    """Coordinates as channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 5, 3, padding=1)

    def forward(self, x):
        batch, _, height, width = x.shape
        rows = torch.linspace(-1, 1, height).view(1, 1, -1, 1).expand(batch, 1, height, width)
        columns = torch.linspace(-1, 1, width).view(1, 1, 1, -1).repeat(batch, 1, height, 1)
        return self.conv(torch.cat([x, rows, columns], dim=1))


class Embedded(nn.Module):
    """A learned embedding of places, resized to the map."""

    def __init__(self):
        super().__init__()
        self.conv, self.places = nn.Conv2d(4, 6, 1), nn.Parameter(torch.randn(1, 6, 4, 6))

    def forward(self, x):
        y = self.conv(x)
        return y + F.interpolate(self.places, y.shape[2:], mode="bilinear", align_corners=False)


def min_max(y):
    low, high = y.amin((2, 3), True), y.amax((2, 3), True)
    return (y - low) / (high - low)


def autocast(s, x):
    with torch.autocast("cpu", enabled=False):
        return s.d(torch.relu(s.c(x)))


def with_no_grad(s, x):
    with torch.no_grad():
        y = s.c(x)
    return s.d(y.detach())


def asserted(s, x):
    assert x.shape[1] == 4, "four channels"
    torch._assert(x.dim() == 4, "a picture")
    if x.shape[2] % 2 == 0:
        x = x * 2
    return s.c(x)
