"""The paper's EfficientNet (Tan & Le 2019, arXiv:1905.11946): stages 1 to 4, then the head.

Given by the paper: EfficientNet, no squeeze-excite, Swish replaced by a mobile-friendly activation, and after pruning
by 2.01x 1.68 M parameters and 4.7 GMACs, so about 3.38 M dense. Inferred: all else. Two readings fit the parameters:
B3's stages at higher resolution (`B3`), B0's at its own with stage 4 at stride 1 (`B0`); with squeeze-excite neither
does (3.50 M and 3.44 M). Which friendly activation is not given; ReLU6 is the default here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from fleetpose.errors import unknown_name
from models.networks.head import HeadShape, TwoBranchNetwork
from models.networks.units import Activation, ConvUnit, activation_class


class StageShape(NamedTuple):
    """One row of inverted bottlenecks; the stride is the first one's, the others have 1."""

    expansion: int
    kernel: int
    stride: int
    outputs: int
    repeats: int


B3 = (StageShape(1, 3, 1, 24, 2), StageShape(6, 3, 1, 32, 3), StageShape(6, 5, 2, 48, 3), StageShape(6, 3, 2, 96, 5))
B0 = (StageShape(1, 3, 1, 16, 1), StageShape(6, 3, 2, 24, 2), StageShape(6, 5, 2, 40, 2), StageShape(6, 3, 1, 80, 3))
#: channels of a block's input over those of its squeezed gate
SQUEEZE = 4
#: name -> (stem width, stages)
VARIANTS = {"b3": (40, B3), "b0": (32, B0)}


class SqueezeExcite(nn.Module):
    """x times a gate by channel, made of the mean over the plane by two 1x1 convolutions (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int, activation: Activation) -> None:
        super().__init__()
        self.reduce = ConvUnit(channels, squeezed, 1, norm=False, activation=activation)
        self.expand = ConvUnit(squeezed, channels, 1, norm=False, activation=nn.Sigmoid)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.expand(self.reduce(x.mean((2, 3), keepdim=True)))


class InvertedBottleneck(nn.Module):
    """1x1 to inputs * expansion (none at expansion 1), depthwise, perhaps squeeze-excite, linear 1x1.

    Added to the input where shapes allow.
    """

    def __init__(
        self, inputs: int, shape: StageShape, stride: int, activation: Activation, squeeze_excite: bool = False
    ) -> None:
        super().__init__()
        width = inputs * shape.expansion
        self.expand = ConvUnit(inputs, width, 1, norm=True, activation=activation) if width != inputs else None
        self.depthwise = ConvUnit(
            width, width, shape.kernel, stride=stride, groups=width, norm=True, activation=activation
        )
        self.excite = SqueezeExcite(width, max(1, inputs // SQUEEZE), activation) if squeeze_excite else None
        self.residual = stride == 1 and inputs == shape.outputs
        # Half gain where it is added, so that a row of sums stays near its first.
        gain = 0.5 if self.residual else 1.0
        self.project = ConvUnit(width, shape.outputs, 1, norm=True, activation=None, gain=gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        y = self.project(y if self.excite is None else self.excite(y))
        return y + x if self.residual else y


def _backbone(stem: int, stages: tuple[StageShape, ...], activation: Activation, excite: bool) -> nn.Sequential:
    units: list[nn.Module] = [ConvUnit(3, stem, stride=2, norm=True, activation=activation)]
    inputs = stem
    for shape in stages:
        for block in range(shape.repeats):
            units.append(InvertedBottleneck(inputs, shape, 1 if block else shape.stride, activation, excite))
            inputs = shape.outputs
    return nn.Sequential(*units)


def efficientnet(
    variant: str = "b3",
    depths: tuple[int, ...] | None = None,
    widths: tuple[int, ...] | None = None,
    head_width: int = 80,
    refinements: int = 1,
    activation: str = "relu6",
    squeeze_excite: bool = False,
) -> TwoBranchNetwork:
    """A member of the family, at stride 8. Raises UsageError for an unknown variant or activation.

    Args:
        variant: a key of VARIANTS.
        depths, widths: blocks and output channels of each stage, where they are not the variant's.
        head_width, refinements: as in HeadShape.
        activation: a name `models.networks.units.ACTIVATIONS` knows, for the backbone; the head has ReLU.
        squeeze_excite: gates after the depthwise convolutions, as in the original.
    """
    if variant not in VARIANTS:
        raise unknown_name("EfficientNet variant", variant, VARIANTS)
    stem, native = VARIANTS[variant]
    stages = tuple(
        stage._replace(repeats=depth, outputs=width)
        for stage, depth, width in zip(
            native,
            depths or [stage.repeats for stage in native],
            widths or [stage.outputs for stage in native],
            strict=True,
        )
    )
    backbone = _backbone(stem, stages, activation_class(activation), squeeze_excite)
    return TwoBranchNetwork(backbone, stages[-1].outputs, HeadShape(head_width, refinements))
