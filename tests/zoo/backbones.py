"""Residual networks and their kin, each small, ending in a classifier or in maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.units import BasicBlock, Bottleneck, SqueezeExcite, classifier, stem, unit, up


def residual_network(block, joints: int = 17) -> nn.Sequential:
    """A stem, three blocks and SimpleBaseline's head; `block` is called with inputs, outputs and the stride."""
    body = [stem(16), block(16, 16, 1), block(16, 32, 2), block(32, 32, 1)]
    return nn.Sequential(*body, up(32, 16), nn.Conv2d(16, joints, 1))


def resnext(inputs, outputs, stride):
    """Xie et al. 2017: grouped 3x3 convolutions."""
    return Bottleneck(inputs, outputs, stride, groups=4)


def se_resnet(inputs, outputs, stride):
    """Hu et al. 2018: linear layers make the gate."""
    return Bottleneck(inputs, outputs, stride, gate=lambda channels: SqueezeExcite(channels, linear=True))


def regnet(inputs, outputs, stride):
    """Radosavovic et al. 2020 (RegNetY): groups and a gate."""
    return Bottleneck(inputs, outputs, stride, groups=2, gate=SqueezeExcite)


class SelfCalibrated(nn.Module):
    """Liu et al. 2020 (SCNet): half of the channels are gated by a map of a lower resolution."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        half = channels // 2
        self.first, self.second = unit(channels, half, 1), unit(channels, half, 1)
        self.k1 = unit(half, half, 3, stride)
        self.k2 = nn.Sequential(nn.AvgPool2d(4, 4), unit(half, half, act=None))
        self.k3, self.k4 = unit(half, half, act=None), unit(half, half, 3, stride)

    def forward(self, x):
        a, b = self.first(x), self.second(x)
        gate = torch.sigmoid(torch.add(a, F.interpolate(self.k2(a), a.size()[2:])))
        return torch.cat([self.k4(torch.mul(self.k3(a), gate)), self.k1(b)], dim=1)


class SplitAttention(nn.Module):
    """Zhang et al. 2020 (ResNeSt): grouped convolution, and a softmax over splits that weighs them."""

    def __init__(self, channels: int, stride: int = 1, radix: int = 2) -> None:
        super().__init__()
        self.radix, self.channels = radix, channels
        self.conv = unit(channels, channels * radix, 3, stride, 2 * radix)
        self.fc1 = unit(channels, max(channels // 2, 4), 1)
        self.fc2 = nn.Conv2d(max(channels // 2, 4), channels * radix, 1, groups=1)

    def forward(self, x):
        x = self.conv(x)
        batch, total = x.shape[:2]
        splits = x.view(batch, self.radix, total // self.radix, *x.shape[2:])
        gap = F.adaptive_avg_pool2d(splits.sum(dim=1), 1)
        weights = self.fc2(self.fc1(gap)).view(batch, 1, self.radix, -1).transpose(1, 2)
        weights = F.softmax(weights, dim=1).reshape(batch, -1, 1, 1)
        weights = weights.view(batch, self.radix, total // self.radix, 1, 1)
        return torch.sum(weights * splits, dim=1).contiguous()


class Res2(nn.Module):
    """Gao et al. 2019 (Res2Net): groups of channels, each of which also reads what the one before made."""

    def __init__(self, channels: int, stride: int = 1, scale: int = 4) -> None:
        super().__init__()
        self.width, self.stride = channels // scale, stride
        self.convs = nn.ModuleList([unit(self.width, self.width, 3, stride) for _ in range(scale - 1)])
        self.pool = nn.AvgPool2d(3, stride, 1)

    def forward(self, x):
        splits = torch.split(x, self.width, 1)
        y = self.convs[0](splits[0].contiguous())
        answer = [y]
        for index, conv in enumerate(self.convs[1:], 1):
            y = conv(splits[index].contiguous() if self.stride > 1 else y + splits[index])
            answer.append(y)
        return torch.cat([*answer, self.pool(splits[-1]) if self.stride > 1 else splits[-1]], 1)


class GlobalContext(nn.Module):
    """Cao et al. 2019 (GCNet), as in ViPNAS: a softmax over places weighs the sum of all, which is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask = nn.Conv2d(channels, 1, 1)
        middle = max(channels // 8, 2)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, middle, 1), nn.LayerNorm([middle, 1, 1]), nn.ReLU(), nn.Conv2d(middle, channels, 1)
        )

    def forward(self, x):
        batch, channels, height, width = x.size()
        flat = x.view(batch, channels, height * width).unsqueeze(1)
        mask = F.softmax(self.mask(x).view(batch, 1, height * width), dim=2).unsqueeze(-1)
        context = torch.matmul(flat, mask).view(batch, channels, 1, 1)
        return x + self.transform(context)


class VipNas(nn.Module):
    """Xu et al. 2021: hard-swish, depthwise bottlenecks with context or gates, grouped transposed convolutions."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.stem = unit(3, 16, 3, 2, act=nn.Hardswish)
        self.layers = nn.Sequential(
            Bottleneck(
                16, 24, 2, middle=lambda width, stride: unit(width, width, 5, stride, width), gate=GlobalContext
            ),
            Bottleneck(24, 32, 2, groups=4, gate=lambda channels: SqueezeExcite(channels, gate=nn.Hardsigmoid)),
        )
        self.head = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 4, 2, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
        )
        self.final = nn.Conv2d(16, joints, 1)

    def forward(self, x):
        return self.final(self.head(self.layers(self.stem(x))))


class DenseNet(nn.Module):
    """Huang et al. 2017: norm, activation, convolution; every layer reads all before it."""

    def __init__(self, growth: int = 6) -> None:
        super().__init__()
        self.stem = stem(12)
        before = lambda inputs, outputs, kernel: nn.Sequential(  # noqa: E731
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        )
        self.layers = nn.ModuleList(
            [nn.Sequential(before(12 + growth * n, 16, 1), before(16, growth, 3)) for n in range(3)]
        )
        self.transition = nn.Sequential(before(12 + 3 * growth, 16, 1), nn.AvgPool2d(2, 2))
        self.norm, self.classifier = nn.BatchNorm2d(16), nn.Linear(16, 10)

    def forward(self, x):
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        x = F.relu(self.norm(self.transition(torch.cat(features, 1))), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class OneShotAggregation(nn.Module):
    """Lee et al. 2019 (VoVNet): a chain whose links are all joined once, with an effective gate (hard sigmoid)."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([unit(inputs if n == 0 else width, width) for n in range(3)])
        self.concat = unit(inputs + 3 * width, outputs, 1)
        self.fc = nn.Conv2d(outputs, outputs, 1)
        self.residual = inputs == outputs

    def forward(self, x):
        identity, answer = x, [x]
        for layer in self.layers:
            x = layer(x)
            answer.append(x)
        x = self.concat(torch.cat(answer, dim=1))
        gate = F.adaptive_avg_pool2d(x, 1)
        x = x * (F.relu6(self.fc(gate) + 3.0) / 6.0)
        return x + identity if self.residual else x


def vovnet() -> nn.Sequential:
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(unit(3, 16, 3, 2), OneShotAggregation(16, 8, 24), pool, OneShotAggregation(24, 8, 24))


class RepVggBlock(nn.Module):
    """Ding et al. 2021: a 3x3, a 1x1 and the identity, each with a batch norm, summed; training's form."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.dense = unit(inputs, outputs, 3, stride, groups, None)
        self.one = unit(inputs, outputs, 1, stride, groups, None)
        self.identity = nn.BatchNorm2d(inputs) if inputs == outputs and stride == 1 else None
        self.outputs, self.stride = outputs, stride

    def forward(self, x):
        same = 0 if self.identity is None else self.identity(x)
        return F.relu(self.dense(x) + self.one(x) + same)


def repvgg() -> nn.Sequential:
    blocks = [RepVggBlock(3, 8, 2), RepVggBlock(8, 16, 2), RepVggBlock(16, 16), RepVggBlock(16, 24, 2, groups=2)]
    return nn.Sequential(*blocks, classifier(24))


class ConvNextBlock(nn.Module):
    """Liu et al. 2022: 7x7 depthwise, layer norm and linear layers with the channels last, a learned scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.linspace(0.2, 1, channels))

    def forward(self, x):
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class ChannelNorm(nn.Module):
    """ConvNeXt's layer norm with the channels first, written out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        spread = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(spread + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ConvNext(nn.Module):
    """A stem of 4x4 patches, two stages, and the mean of all places before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4), ChannelNorm(16))
        self.down = nn.Sequential(ChannelNorm(16), nn.Conv2d(16, 24, 2, 2))
        self.first, self.second = ConvNextBlock(16), ConvNextBlock(24)
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, 10)

    def forward(self, x):
        x = self.second(self.down(self.first(self.stem(x))))
        return self.head(self.norm(x.mean([-2, -1])))


def resnet() -> nn.Sequential:
    return nn.Sequential(stem(8), BasicBlock(8, 8), BasicBlock(8, 16, 2), Bottleneck(16, 32, 2), classifier(32))


class Inception(nn.Module):
    """Szegedy et al. 2016: branches of uneven kernels and a pool, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = unit(3, 12, 3, 2)
        self.one = unit(12, 8, 1)
        self.seven = nn.Sequential(
            nn.Conv2d(12, 8, (1, 7), padding=(0, 3)), nn.ReLU(), nn.Conv2d(8, 8, (7, 1), padding=(3, 0)), nn.ReLU()
        )
        self.twice = nn.Sequential(unit(12, 8, 1), unit(8, 8), unit(8, 8))
        self.pool = unit(12, 8, 1)
        self.reduce = unit(32, 16, 3, 2)

    def forward(self, x):
        x = self.stem(x)
        pooled = self.pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        joined = torch.cat([self.one(x), self.seven(x), self.twice(x), pooled], 1)
        return torch.cat([self.reduce(joined), F.max_pool2d(joined, kernel_size=3, stride=2, padding=1)], 1)


class Vgg(nn.Module):
    """Simonyan and Zisserman 2015, with batch norm and a classifier of linear layers over a pooled 2x2."""

    def __init__(self) -> None:
        super().__init__()
        body = [unit(3, 8), unit(8, 8), nn.MaxPool2d(2), unit(8, 16), nn.MaxPool2d(2), unit(16, 16)]
        self.features, self.avgpool = nn.Sequential(*body, nn.MaxPool2d(4)), nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(64, 20), nn.ReLU(True), nn.Dropout(), nn.Linear(20, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
