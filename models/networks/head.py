"""The two-branch head of OpenPose (Cao et al. 2017, arXiv:1611.08050), for OpenPose and the paper's networks.

    backbone -> neck (two 3x3) -> initial stage -> refinement stages, each on concat(features, heatmaps, PAFs)

Every stage has a heatmap branch and a PAF branch that share nothing but their input. `HeadShape` says what differs:
OpenPose has five 7x7 in a refinement branch, five times in a row; the paper's networks have one refinement stage with
three 3x3 in each 7x7's place ("B88" where they are 88 channels wide).

Given by the paper: "7x7 -> three 3x3", 19 heatmaps and 38 PAF channels, the totals. Inferred by counting: the widths,
one refinement stage, which layers have batch norm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from models.networks.units import Activation, ConvUnit, StagedNetwork

HEATMAPS = 19  # 18 keypoints and background
PAFS = 38  # 19 limbs, x and y
NECK_WIDTH = 256
INITIAL_WIDTH = 512  # of the 1x1 before an initial branch's output


@dataclass(frozen=True)
class HeadShape:
    """What tells one two-branch head from another; the default is B88.

    Attributes:
        width: channels of the features and of every 3x3 or 7x7 of the branches.
        refinements: refinement stages after the initial one.
        kernels: kernel sizes of a refinement branch's trunk, in order.
        norm: batch norm (and no bias) in the refinement trunks.
        activation: after every convolution but the outputs'.
    """

    width: int = 88
    refinements: int = 1
    kernels: tuple[int, ...] = (3,) * 15
    norm: bool = True
    activation: Activation = nn.ReLU


def _branch(trunk: list[ConvUnit], width: int, middle: int, outputs: int, activation: Activation) -> nn.Sequential:
    """A trunk of `width` channels, then 1x1 to `middle`, then 1x1 to `outputs` without activation."""
    return nn.Sequential(
        *trunk,
        ConvUnit(width, middle, 1, activation=activation),
        ConvUnit(middle, outputs, 1, activation=None),
    )


class Stage(nn.Module):
    """Two branches on the concatenation of the inputs. Returns (heatmaps (N, 19, h, w), PAFs (N, 38, h, w))."""

    def __init__(self, heatmaps: nn.Sequential, pafs: nn.Sequential) -> None:
        super().__init__()
        self.heatmaps = heatmaps
        self.pafs = pafs

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0]
        return self.heatmaps(x), self.pafs(x)


def initial_stage(shape: HeadShape) -> Stage:
    """Per branch: three 3x3, 1x1 to 512, 1x1 to the maps; all with bias."""

    def branch(outputs: int) -> nn.Sequential:
        trunk = [ConvUnit(shape.width, shape.width, activation=shape.activation) for _ in range(3)]
        return _branch(trunk, shape.width, INITIAL_WIDTH, outputs, shape.activation)

    return Stage(branch(HEATMAPS), branch(PAFS))


def refinement_stage(shape: HeadShape) -> Stage:
    """Per branch: `shape.kernels` in a row, the first from width + 57 channels, then two 1x1."""

    def branch(outputs: int) -> nn.Sequential:
        trunk = []
        inputs = shape.width + HEATMAPS + PAFS
        for kernel in shape.kernels:
            trunk.append(ConvUnit(inputs, shape.width, kernel, norm=shape.norm, activation=shape.activation))
            inputs = shape.width
        return _branch(trunk, shape.width, shape.width, outputs, shape.activation)

    return Stage(branch(HEATMAPS), branch(PAFS))


class TwoBranchNetwork(StagedNetwork):
    """A backbone and a two-branch head. Input (N, 3, H, W), normalised as the model's spec says.

    Args:
        backbone: (N, 3, H, W) -> (N, channels, H / 8, W / 8).
        channels: of the backbone's output.
        head: the shape of what follows.
    """

    def __init__(self, backbone: nn.Module, channels: int, head: HeadShape) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Sequential(
            ConvUnit(channels, NECK_WIDTH, activation=head.activation),
            ConvUnit(NECK_WIDTH, head.width, activation=head.activation),
        )
        self.initial_stage = initial_stage(head)
        self.refinement_stages = nn.ModuleList(refinement_stage(head) for _ in range(head.refinements))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What every stage reads, (N, C, H / 8, W / 8)."""
        return self.neck(self.backbone(x))
