"""Convolutions as people spell them, what they fold with them, and weights that are computed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

from tests.patterns.pattern import patterns


class Standardised(nn.Conv2d):
    """Weight standardisation, as in BiT."""

    def forward(self, x):
        weight = self.weight
        weight = (weight - weight.mean((1, 2, 3), keepdim=True)) / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class SamePadded(nn.Conv2d):
    """TensorFlow's "SAME", as EfficientNets have it."""

    def forward(self, x):
        height, width = x.shape[-2:]
        rows = max((-(height // -self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - height, 0)
        columns = max((-(width // -self.stride[1]) - 1) * self.stride[1] + self.kernel_size[1] - width, 0)
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class FrozenNorm(nn.Module):
    """FrozenBatchNorm2d of torchvision and Detectron2."""

    def __init__(self, channels):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(channels) + 0.5)

    def forward(self, x):
        scale = self.weight.reshape(1, -1, 1, 1) * (self.running_var.reshape(1, -1, 1, 1) + 1e-5).rsqrt()
        return x * scale + (self.bias.reshape(1, -1, 1, 1) - self.running_mean.reshape(1, -1, 1, 1) * scale)


class RepVgg(nn.Module):
    """Branches summed: 3x3, 1x1 and the identity, each with its norm."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4))
        self.point = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.identity = nn.BatchNorm2d(4)

    def forward(self, x):
        return torch.relu(self.wide(x) + self.point(x) + self.identity(x))


def pruned():
    part = nn.Conv2d(4, 6, 3, padding=1)
    prune.l1_unstructured(part, "weight", 0.5)
    return part


def tied():
    part = nn.Conv2d(4, 4, 3, padding=1)
    return nn.Sequential(part, nn.ReLU(), part)


def norm(**settings):
    return nn.Sequential(nn.Conv2d(4, 6, 3, 1, 1), nn.BatchNorm2d(6, **settings), nn.ReLU(inplace=True))


CONVOLUTIONS = patterns(
    "convolution",
    {
        "plain": lambda: nn.Conv2d(4, 6, 3),
        "without bias": lambda: nn.Conv2d(4, 6, 3, bias=False),
        "strided": lambda: nn.Conv2d(4, 6, 3, 2, 1),
        "one by one": lambda: nn.Conv2d(4, 6, 1),
        "one by one, strided": lambda: nn.Conv2d(4, 6, 1, 2),
        "row": lambda: nn.Conv2d(4, 6, (1, 7), padding=(0, 3)),
        "column": lambda: nn.Conv2d(4, 6, (5, 1), (2, 1), (2, 0)),
        "even kernel": lambda: nn.Conv2d(4, 6, 2, 2),
        "even kernel, same": lambda: nn.Conv2d(4, 6, 4, padding="same"),
        "valid": lambda: nn.Conv2d(4, 6, 3, padding="valid"),
        "same, dilated": lambda: nn.Conv2d(4, 6, 3, padding="same", dilation=2),
        "dilated": lambda: nn.Conv2d(4, 6, 3, 1, (2, 4), (2, 4)),
        "uneven strides": lambda: nn.Conv2d(4, 6, 3, (2, 1), 1),
        "padded more than the kernel": lambda: nn.Conv2d(4, 6, 1, padding=2),
        "depthwise": lambda: nn.Conv2d(4, 4, 3, 1, 1, groups=4),
        "depthwise with multiplier": lambda: nn.Conv2d(4, 12, 3, 2, 1, groups=4),
        "grouped": lambda: nn.Conv2d(4, 6, 3, 1, 1, groups=2),
        "large kernel": lambda: nn.Conv2d(4, 4, 7, padding=3, groups=4),
        "kernel as large as the map": lambda: nn.Conv2d(4, 6, (8, 12)),
        "patches": lambda: nn.Conv2d(4, 6, 4, 4),
        "one output channel": lambda: nn.Conv2d(4, 1, 3, padding=1),
        "grey picture": (lambda: nn.Conv2d(1, 6, 3, 2, 1), (1, 8, 12)),
        "depth and colours": (lambda: nn.Conv2d(4, 6, 3, 2, 1), (4, 9, 13)),
        "odd sizes": (lambda: nn.Conv2d(3, 5, 3, 2, 1), (3, 7, 11)),
        "reflected borders": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
        "replicated borders": lambda: nn.Conv2d(4, 6, 5, padding=2, padding_mode="replicate"),
        "circular borders": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"),
        "TensorFlow's same": lambda: SamePadded(4, 6, 3, 2),
        "lazy": lambda: made(nn.LazyConv2d(6, 3)),
        "functional": lambda s, x: F.conv2d(x, s.c.weight, s.c.bias, padding=1),
        "functional, no bias": lambda s, x: F.conv2d(x, s.c.weight, stride=2),
        "torch.conv2d": lambda s, x: torch.conv2d(x, s.c.weight, s.c.bias, 1, 1),
        "blur with a constant kernel": lambda s, x: F.conv2d(
            x, (torch.ones(3, 3) / 9).expand(4, 1, 3, 3).to(x), padding=1, groups=4
        ),
        "weight times a number": lambda s, x: F.conv2d(x, s.c.weight * 0.5, padding=1),
        "weight with a gain": lambda s, x: F.conv2d(x, s.c.weight * s.vector[..., None], s.c.bias, padding=1),
        "kernel of two branches": lambda s, x: F.conv2d(s.c(x), s.d.weight + F.pad(s.e.weight, [1] * 4), padding=1),
        "conv1d over rows": lambda: Rows(),
        "conv1d of tokens": lambda s, x: F.conv1d(s.c(x).flatten(2), s.e.weight[..., 0], s.e.bias),
        "batch norm": lambda: norm(),
        "batch norm without weights": lambda: norm(affine=False),
        "batch norm without statistics": lambda: norm(track_running_stats=False),
        "batch norm of another eps": lambda: norm(eps=1e-3, momentum=0.01),
        "batch norm before": lambda: nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3)),
        "batch norm alone": lambda: nn.BatchNorm2d(4),
        "batch norm by hand": lambda s, x: (
            (s.c(x) - s.norm.running_mean.view(1, -1, 1, 1)) / torch.sqrt(s.norm.running_var.view(1, -1, 1, 1) + 1e-5)
        ),
        "functional batch norm": lambda s, x: F.batch_norm(s.c(x), s.norm.running_mean, s.norm.running_var),
        "frozen batch norm": lambda: nn.Sequential(nn.Conv2d(4, 6, 1, bias=False), FrozenNorm(6), nn.ReLU()),
        "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(4, 6, 3)),
        "weight norm of old": lambda: nn.utils.weight_norm(nn.Conv2d(4, 6, 3)),
        "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(4, 6, 3)),
        "spectral norm of old": lambda: nn.utils.spectral_norm(nn.Conv2d(4, 6, 3)),
        "weight standardisation": lambda: Standardised(4, 6, 3, padding=1),
        "torch's pruning masks": pruned,
        "tied": tied,
        "RepVGG": RepVgg,
        "frozen": lambda: nn.Conv2d(4, 6, 3).requires_grad_(False),
        "channels last": lambda: nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last),
        "transposed": lambda: nn.ConvTranspose2d(4, 6, 4, 2, 1),
        "transposed, output padding": lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1),
        "transposed, grouped": lambda: nn.ConvTranspose2d(4, 4, 2, 2, groups=4),
        "transposed, dilated": lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, dilation=2),
        "transposed, stride 1": lambda: nn.ConvTranspose2d(4, 6, 3, padding=1),
        "transposed, stride 3": lambda: nn.ConvTranspose2d(4, 6, 3, 3),
        "transposed, output size": lambda: Sized(),
        "transposed, norm": lambda: nn.Sequential(
            nn.ConvTranspose2d(4, 6, 4, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU()
        ),
        "transposed, functional": lambda s, x: F.conv_transpose2d(s.c(x), s.d.weight, stride=2),
        "bilinear kernel, transposed": lambda s, x: F.conv_transpose2d(
            x,
            (torch.tensor([1.0, 3, 3, 1])[:, None] * torch.tensor([1.0, 3, 3, 1]) / 16).expand(4, 1, 4, 4).to(x),
            stride=2,
            padding=1,
            groups=4,
        ),
    },
)


class Rows(nn.Module):
    """A one-dimensional convolution over rows, as in HRFormer's and CoordNet's mixing."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(32, 6, 3, padding=1)

    def forward(self, x):
        return self.conv(x.flatten(1, 2)).relu()


class Sized(nn.Module):
    """A transposed convolution that is told its output's size."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 6, 3, 2, 1)

    def forward(self, x):
        return self.up(x, output_size=[x.shape[2] * 2, x.shape[3] * 2])


def made(module):
    """A lazy module after its first input, so that it has weights."""
    module(torch.zeros(1, 4, 8, 12))
    return module
