"""Pools, pads, resizes and norms as people spell them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.patterns.pattern import patterns


class ChannelNorm(nn.Module):
    """ConvNeXt's layer norm over channels, first or last."""

    def __init__(self, first):
        super().__init__()
        self.first, self.weight, self.bias = first, nn.Parameter(torch.rand(4) + 0.5), nn.Parameter(torch.randn(4))

    def forward(self, x):
        if not self.first:
            return F.layer_norm(x.permute(0, 2, 3, 1), (4,), self.weight, self.bias, 1e-6).permute(0, 3, 1, 2) * 1
        mean = x.mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


def spatial_pyramid(s, x):
    y = s.c(x)
    return torch.cat([y, *(F.max_pool2d(y, k, 1, k // 2) for k in (3, 5))], 1)


def pyramid_pooling(s, x):
    y = s.c(x)
    return torch.cat([y, *(F.interpolate(F.adaptive_avg_pool2d(y, k), (8, 12), mode="bilinear") for k in (1, 2, 4))], 1)


def feature_pyramid(s, x):
    y = s.c(x)
    z = s.d(F.max_pool2d(y, 2))
    return s.e(y) + F.interpolate(z, scale_factor=2, mode="nearest"), z


def pool_max(*arguments, **settings):
    return lambda: nn.MaxPool2d(*arguments, **settings)


def pool_mean(*arguments, **settings):
    return lambda: nn.AvgPool2d(*arguments, **settings)


POOLS = patterns(
    "pool",
    {
        "maximum": pool_max(2),
        "maximum, padded": pool_max(3, 2, 1),
        "maximum, stride 1": pool_max(5, 1, 2),
        "maximum, dilated": pool_max(2, 1, dilation=2),
        "maximum, ceil": (pool_max(3, 2, ceil_mode=True), (4, 8, 13)),
        "maximum, ceil and padded": (pool_max(2, 2, 1, ceil_mode=True), (4, 7, 13)),
        "maximum of rows": pool_max((2, 1)),
        "maximum of columns": pool_max((1, 3), (1, 2), (0, 1)),
        "maximum, functional": lambda s, x: F.max_pool2d(s.c(x), 2, 2),
        "maximum, with unused indices": lambda s, x: F.max_pool2d(s.c(x), 2, return_indices=True)[0],
        "zeros before maximum": lambda s, x: F.max_pool2d(F.pad(F.relu(s.c(x)), (0, 1, 0, 1)), 3, 2),
        "minus infinity before maximum": lambda s, x: F.max_pool2d(F.pad(s.c(x), [1] * 4, value=-float("inf")), 3, 2),
        "minimum": lambda s, x: -F.max_pool2d(-s.c(x), 3, 2, 1),
        "mean": pool_mean(2),
        "mean, padded": pool_mean(3, 2, 1),
        "mean, pads not counted": pool_mean(3, 2, 1, count_include_pad=False),
        "mean, ceil": (pool_mean(2, 2, ceil_mode=True), (4, 7, 13)),
        "mean, ceil, pads not counted": (pool_mean(3, 2, 1, True, False), (4, 8, 12)),
        "mean, divisor": pool_mean(2, divisor_override=3),
        "mean, uneven": pool_mean((3, 2), (1, 2), (1, 0)),
        "mean of a window as large as the map": lambda s, x: F.avg_pool2d(s.c(x), x.size()[2:]),
        "LP": lambda: nn.LPPool2d(2, 2),
        "adaptive mean": lambda: nn.AdaptiveAvgPool2d((4, 6)),
        "adaptive mean, uneven": lambda: nn.AdaptiveAvgPool2d((3, 5)),
        "adaptive mean, larger": lambda: nn.AdaptiveAvgPool2d((9, 20)),
        "adaptive mean, one side": lambda: nn.AdaptiveAvgPool2d((None, 1)),
        "adaptive maximum": lambda: nn.AdaptiveMaxPool2d((4, 5)),
        "global by adaptive": lambda: nn.AdaptiveAvgPool2d(1),
        "global, flat": lambda s, x: F.adaptive_avg_pool2d(s.c(x), 1).flatten(1),
        "global by mean": lambda s, x: s.c(x).mean([2, 3]),
        "global by mean of names": lambda s, x: torch.mean(s.c(x), dim=(-2, -1), keepdim=True),
        "global by two means": lambda s, x: s.c(x).mean(-1).mean(-1),
        "global by view": lambda s, x: s.c(x).view(1, 8, -1).mean(2),
        "global by sum": lambda s, x: s.c(x).sum(dim=[2, 3]),
        "global by amax": lambda s, x: s.c(x).amax((2, 3)),
        "global by max of max": lambda s, x: s.c(x).max(3)[0].max(2)[0],
        "global by flat max": lambda s, x: s.c(x).flatten(2).max(-1).values,
        "global by nanmean": lambda s, x: s.c(x).flatten(1).mean(),
        "generalised mean": lambda s, x: F.avg_pool2d(s.c(x).clamp(min=1e-6).pow(3), (8, 12)).pow(1 / 3),
        "pyramid of maxima": spatial_pyramid,
        "pyramid of means": pyramid_pooling,
        "feature pyramid": feature_pyramid,
        "antialiased": lambda s, x: F.avg_pool2d(F.pad(s.c(x), (1, 1, 1, 1), mode="reflect"), 3, 2),
    },
)

PADS = patterns(
    "pad",
    {
        "zeros": lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 3, 0)), nn.Conv2d(4, 6, 3)),
        "a constant": lambda: nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.Conv2d(4, 6, 3)),
        "reflection": lambda: nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(4, 6, 3)),
        "replication": lambda: nn.Sequential(nn.ReplicationPad2d((1, 0, 0, 2)), nn.Conv2d(4, 6, 3)),
        "circular": lambda: nn.Sequential(nn.CircularPad2d(1), nn.Conv2d(4, 6, 3)),
        "functional": lambda s, x: s.c(F.pad(x, (1, 1), "constant", 0)),
        "negative": lambda s, x: F.pad(s.c(x), (-1, -2, 0, -1)),
        "one side cut": lambda s, x: F.pad(s.c(x), (-1, 1, 0, 0)),
        "channels": lambda s, x: F.pad(s.c(x), (0, 0, 0, 0, 0, 4)),
        "channels of a residual": lambda s, x: s.c(x) + F.pad(x, (0, 0, 0, 0, 0, 4)),
        "nothing": lambda s, x: F.pad(s.c(x), (0, 0, 0, 0)),
        "to a skip's size": lambda s, x: torch.cat([y := s.c(x), F.pad(s.d(y)[..., :7, :9], (0, 3, 0, 1))], 1),
        "torch.cat of zeros": lambda s, x: torch.cat([s.c(x), torch.zeros(1, 8, 1, 12)], 2),
        "shift by pad": lambda s, x: F.pad(s.c(x), (1, 0, 1, 0))[:, :, :-1, :-1],
        "constant_pad_nd": lambda s, x: torch.constant_pad_nd(s.c(x), (1, 1, 1, 1), 0.25),
    },
)

RESIZES = patterns(
    "resize",
    {
        "nearest": lambda: nn.Upsample(scale_factor=2),
        "nearest, functional": lambda s, x: F.interpolate(s.c(x), scale_factor=2, mode="nearest"),
        "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        "bilinear, corners": lambda: nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True),
        "bilinear to a size": lambda s, x: F.interpolate(s.c(x), size=(13, 17), mode="bilinear", align_corners=False),
        "bilinear to half": lambda s, x: F.interpolate(s.c(x), scale_factor=0.5, mode="bilinear"),
        "bilinear as another": lambda s, x: (
            s.c(x) + F.interpolate(s.d(s.c(x))[..., ::2, ::2], x.shape[2:], mode="bilinear")
        ),
        "fractional": lambda s, x: F.interpolate(s.c(x), scale_factor=1.5, mode="bilinear"),
        "fractional, recomputed": lambda s, x: F.interpolate(
            s.c(x), scale_factor=1.3, mode="bilinear", recompute_scale_factor=True
        ),
        "fractional, nearest": lambda s, x: F.interpolate(s.c(x), scale_factor=(1.5, 0.75)),
        "nearest-exact": lambda s, x: F.interpolate(s.c(x), scale_factor=1.5, mode="nearest-exact"),
        "bicubic": lambda s, x: F.interpolate(s.c(x), scale_factor=2, mode="bicubic"),
        "bicubic, corners": lambda s, x: F.interpolate(s.c(x), (11, 15), mode="bicubic", align_corners=True),
        "area": lambda s, x: F.interpolate(s.c(x), (4, 5), mode="area"),
        "antialiased": lambda s, x: F.interpolate(s.c(x), (5, 7), mode="bilinear", antialias=True),
        "one axis": lambda s, x: F.interpolate(s.c(x), scale_factor=(1.0, 2.0), mode="bilinear"),
        "UpsamplingNearest2d": lambda: nn.UpsamplingNearest2d(scale_factor=2),
        "UpsamplingBilinear2d": lambda: nn.UpsamplingBilinear2d(size=(16, 20)),
        "repeated": lambda s, x: s.c(x).repeat_interleave(2, 2).repeat_interleave(2, 3),
        "by expansion": lambda s, x: s.c(x)[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(1, 8, 16, 24),
        "pixel shuffle": lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.PixelShuffle(2), nn.ReLU()),
        "pixel unshuffle": lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(16, 5, 1)),
        "zeros between": lambda s, x: F.conv_transpose2d(s.c(x), torch.ones(8, 1, 1, 1).to(x), stride=2, groups=8),
    },
)

NORMS = patterns(
    "norm",
    {
        "group": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.GroupNorm(4, 8), nn.ReLU()),
        "group of one": lambda: nn.GroupNorm(1, 4),
        "group, functional": lambda s, x: F.group_norm(s.c(x), 2, eps=1e-3),
        "instance": lambda: nn.InstanceNorm2d(4),
        "instance, affine": lambda: nn.InstanceNorm2d(4, affine=True),
        "instance, statistics": lambda: nn.InstanceNorm2d(4, track_running_stats=True),
        "layer": lambda: nn.LayerNorm([4, 8, 12]),
        "layer of planes": lambda: nn.LayerNorm([8, 12]),
        "layer of channels, last": lambda: ChannelNorm(False),
        "layer of channels, by hand": lambda: ChannelNorm(True),
        "layer of rows": lambda: nn.LayerNorm(12),
        "RMS": lambda s, x: (y := s.c(x)) * torch.rsqrt(y.pow(2).mean(1, keepdim=True) + 1e-6) * s.vector,
        "RMS of torch": lambda: nn.RMSNorm([8, 12]),
        "instance by hand": lambda s, x: by_hand(s.c(x)),
        "var_mean": lambda s, x: by_var_mean(s.c(x)),
        "filter response": lambda s, x: (y := s.c(x)) * torch.rsqrt(y.square().mean((2, 3), keepdim=True) + 1e-6),
    },
)


def by_hand(y):
    return (y - y.mean((2, 3), True)) / (y.var((2, 3), keepdim=True) + 1e-5).sqrt()


def by_var_mean(y):
    variance, mean = torch.var_mean(y, dim=1, keepdim=True, correction=0)
    return (y - mean) / torch.sqrt(variance + 1e-5)
