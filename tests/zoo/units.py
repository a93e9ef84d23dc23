"""What the architectures of the zoo share: convolutions with batch norm, residual blocks, gates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: type | None = nn.ReLU):
    """Convolution, batch norm and, unless `act` is None, an activation."""
    parts = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)]
    parts += [nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, *([act()] if act else []))


def separable(inputs: int, outputs: int, stride: int = 1, kernel: int = 3, act: type = nn.ReLU):
    """A depthwise convolution and a 1x1."""
    return nn.Sequential(unit(inputs, inputs, kernel, stride, inputs, act), unit(inputs, outputs, 1, act=act))


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.conv2 = unit(inputs, outputs, 3, stride), unit(outputs, outputs, act=None)
        self.downsample = unit(inputs, outputs, 1, stride, act=None) if stride > 1 or inputs != outputs else None

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        return F.relu(self.conv2(self.conv1(x)) + identity)


class Bottleneck(nn.Module):
    """ResNet's block of 1x1, 3x3 and 1x1; `middle` replaces the 3x3 and `gate` comes before the sum."""

    def __init__(self, inputs, outputs, stride=1, groups=1, middle=None, gate=None) -> None:
        super().__init__()
        width = outputs // 2
        self.reduce, self.expand = unit(inputs, width, 1), unit(width, outputs, 1, act=None)
        self.middle = middle(width, stride) if middle else unit(width, width, 3, stride, groups)
        self.gate = gate(outputs) if gate else nn.Identity()
        self.downsample = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.downsample = unit(inputs, outputs, 1, stride, act=None)

    def forward(self, x):
        return F.relu(self.gate(self.expand(self.middle(self.reduce(x)))) + self.downsample(x))


class SqueezeExcite(nn.Module):
    """A gate per channel from the mean of each channel, by linear layers or 1x1 convolutions."""

    def __init__(self, channels: int, linear: bool = False, gate: type = nn.Sigmoid) -> None:
        super().__init__()
        middle = max(channels // 4, 2)
        one = nn.Linear if linear else lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1)
        self.linear = linear
        self.fc = nn.Sequential(one(channels, middle), nn.ReLU(inplace=True), one(middle, channels), gate())

    def forward(self, x):
        if not self.linear:
            return x * self.fc(F.adaptive_avg_pool2d(x, 1))
        batch, channels, _, _ = x.shape
        y = F.adaptive_avg_pool2d(x, 1).view(batch, channels)
        return x * self.fc(y).view(batch, channels, 1, 1).expand_as(x)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, depthwise, project; with `gate` MobileNetV3's."""

    def __init__(self, inputs, outputs, stride=1, expand=2, kernel=3, act=nn.ReLU6, gate=None) -> None:
        super().__init__()
        width = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            unit(inputs, width, 1, act=act),
            unit(width, width, kernel, stride, width, act),
            gate(width) if gate else nn.Identity(),
            unit(width, outputs, 1, act=None),
        )

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


def stem(width: int, act: type = nn.ReLU) -> nn.Sequential:
    """To a quarter of the picture."""
    return nn.Sequential(unit(3, width, 7, 2, act=act), nn.MaxPool2d(3, 2, 1))


def classifier(channels: int, classes: int = 10) -> nn.Sequential:
    """What backbones end with."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, classes))


def shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """ShuffleNet's exchange of channels between groups."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, -1, height, width)


def up(channels: int, outputs: int, kernel: int = 4) -> nn.Sequential:
    """A transposed convolution that doubles, as SimpleBaseline's heads have it."""
    padding, output_padding = {4: (1, 0), 3: (1, 1), 2: (0, 0)}[kernel]
    transposed = nn.ConvTranspose2d(channels, outputs, kernel, 2, padding, output_padding, bias=False)
    return nn.Sequential(transposed, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
