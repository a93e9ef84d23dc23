"""The paper's ResNet50 family: ResNet50's first two stages (He et al. 2016, arXiv:1512.03385), deeper and thinner.

Given by the paper: the number of backbone convolutions (24, 36, 72, 147 = stem + 3 per bottleneck + 2 downsamples), the
totals, 368x368 input, no dilation. Inferred by counting, and not the only possibility: how the bottlenecks divide
between the two stages, their middle widths for _3 and _4, the head (see models.networks.head).
"""

from __future__ import annotations

import torch
from torch import nn

from models.networks.head import HeadShape, TwoBranchNetwork
from models.networks.units import Activation, ConvUnit, activation_class

STEM_WIDTH = 64
FIRST_OUTPUTS = 256  # of the first stage; each later one doubles it and halves the resolution


class Bottleneck(nn.Module):
    """relu(shortcut(x) + expand(middle(reduce(x)))): 1x1, 3x3 (with the stride), 1x1, each with batch norm.

    Args:
        inputs, width, outputs: channels of the input, of the 3x3, and of the result.
        stride: of the 3x3, and of the shortcut's 1x1.
        project: the shortcut is a 1x1 with batch norm; else the identity.
        gain: of the last 1x1's random weights, so that a long row of sums stays near its first.
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, stride: int, project: bool, gain: float, activation: Activation
    ) -> None:
        super().__init__()
        self.reduce = ConvUnit(inputs, width, 1, norm=True, activation=activation)
        self.middle = ConvUnit(width, width, 3, stride=stride, norm=True, activation=activation)
        self.expand = ConvUnit(width, outputs, 1, norm=True, activation=None, gain=gain)
        self.downsample = ConvUnit(inputs, outputs, 1, stride=stride, norm=True, activation=None) if project else None
        self.activation = activation() if activation else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.expand(self.middle(self.reduce(x)))
        y = y + (x if self.downsample is None else self.downsample(x))
        return y if self.activation is None else self.activation(y)


def _stage(inputs: int, width: int, outputs: int, depth: int, stride: int, activation: Activation) -> nn.Sequential:
    return nn.Sequential(
        *(
            Bottleneck(
                outputs if block else inputs,
                width,
                outputs,
                1 if block else stride,
                project=not block,
                gain=depth**-0.5,
                activation=activation,
            )
            for block in range(depth)
        )
    )


class ResnetBackbone(nn.Module):
    """7x7/2, 3x3/2 max pool, then one row of bottlenecks per (depth, width); all but the first row halve the size."""

    def __init__(self, depths: tuple[int, ...], widths: tuple[int, ...], activation: Activation) -> None:
        super().__init__()
        self.stem = ConvUnit(3, STEM_WIDTH, 7, stride=2, norm=True, activation=activation)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layers = nn.Sequential()
        self.outputs = STEM_WIDTH
        for index, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            outputs = FIRST_OUTPUTS << index
            self.layers.append(_stage(self.outputs, width, outputs, depth, 2 if index else 1, activation))
            self.outputs = outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(self.pool(self.stem(x)))


def resnet(
    depths: tuple[int, ...] = (3, 4),
    widths: tuple[int, ...] = (64, 128),
    head_width: int = 88,
    refinements: int = 1,
    activation: str = "relu",
) -> TwoBranchNetwork:
    """A member of the family; two stages make stride 8.

    Args:
        depths: bottlenecks per stage.
        widths: middle channels of the bottlenecks, per stage.
        head_width, refinements: as in HeadShape.
        activation: a name `models.networks.units.ACTIVATIONS` knows, for the backbone; the head has ReLU.
    """
    backbone = ResnetBackbone(depths, widths, activation_class(activation))
    return TwoBranchNetwork(backbone, backbone.outputs, HeadShape(head_width, refinements))
