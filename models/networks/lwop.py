"""Lightweight OpenPose (Osokin 2018, arXiv:1811.12004) and its trained sister: one module tree, two variants.

`lwop` is the baseline of the paper this project follows; `human_pose_0001` is Open Model Zoo's
human-pose-estimation-0001, the same network with batch norm folded away and four small differences (`Variant`).

The tree is model (MobileNet backbone to stride 8), cpm, initial_stage, refinement_stages. It follows the published
checkpoint in all but the names inside a unit; `models.networks.lwop_layouts` maps those.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from models.networks import lwop_layouts
from models.networks.head import HEATMAPS, PAFS
from models.networks.units import ConvUnit, SeparableUnit, StagedNetwork

WIDTH = 128

#: The separable blocks of the backbone: (outputs, stride, dilation); the 12th, at 512 and dilation 2, keeps stride 8.
BACKBONE = (
    (64, 1, 1),
    (128, 2, 1),
    (128, 1, 1),
    (256, 2, 1),
    (256, 1, 1),
    (512, 1, 1),
    (512, 1, 2),
    *((512, 1, 1),) * 4,
)


@dataclass(frozen=True)
class Variant:
    """What tells the members of the family apart.

    Attributes:
        norm: batch norm in backbone and refinement blocks; without it every convolution has a bias.
        squeeze: an extra 1x1 + ELU between the CPM's align and its separable blocks.
        align_activation: of the CPM's first 1x1.
        cpm_bias: a bias on the convolutions of the CPM's separable blocks.
    """

    norm: bool
    squeeze: bool
    align_activation: type[nn.Module]
    cpm_bias: bool


LWOP_VARIANT = Variant(norm=True, squeeze=False, align_activation=nn.ReLU, cpm_bias=False)
HUMAN_POSE_0001_VARIANT = Variant(norm=False, squeeze=True, align_activation=nn.ELU, cpm_bias=True)


class Cpm(nn.Module):
    """512 backbone channels to 128 features: conv(a + trunk(a)) with a = align(x); trunk starts with `squeeze`."""

    def __init__(self, inputs: int, variant: Variant) -> None:
        super().__init__()
        self.align = ConvUnit(inputs, WIDTH, 1, activation=variant.align_activation)
        self.squeeze = ConvUnit(WIDTH, WIDTH, 1, activation=nn.ELU) if variant.squeeze else None
        self.trunk = nn.Sequential(
            *(SeparableUnit(WIDTH, WIDTH, bias=variant.cpm_bias, activation=nn.ELU) for _ in range(3))
        )
        self.conv = ConvUnit(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        aligned = self.align(x)
        squeezed = aligned if self.squeeze is None else self.squeeze(aligned)
        return self.conv(aligned + self.trunk(squeezed))


class RefinementBlock(nn.Module):
    """1x1, then two 3x3 (the second dilated by 2) whose activated result is added to the 1x1's."""

    def __init__(self, inputs: int, variant: Variant) -> None:
        super().__init__()
        self.initial = ConvUnit(inputs, WIDTH, 1)
        self.trunk = nn.Sequential(
            ConvUnit(WIDTH, WIDTH, norm=variant.norm),
            # Half gain: five residual sums in a row would otherwise multiply random activations by about 20.
            ConvUnit(WIDTH, WIDTH, dilation=2, norm=variant.norm, gain=0.5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        initial = self.initial(x)
        return initial + self.trunk(initial)


class LwopStage(nn.Module):
    """A trunk on the concatenated inputs, and two heads. Returns (heatmaps (N, 19, h, w), PAFs (N, 38, h, w))."""

    def __init__(self, trunk: nn.Sequential, head_width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.heatmaps = self._head(head_width, HEATMAPS)
        self.pafs = self._head(head_width, PAFS)

    @staticmethod
    def _head(width: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(ConvUnit(WIDTH, width, 1), ConvUnit(width, outputs, 1, activation=None))

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.trunk(torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0])
        return self.heatmaps(features), self.pafs(features)


class Lwop(StagedNetwork):
    """The network. Input (N, 3, H, W), BGR, normalised as the model's spec says; H and W multiples of 8.

    Args:
        variant: which member of the family.
        refinements: how many refinement stages follow the initial one.
    """

    #: Weight files from elsewhere: functions from their tensors to this tree's names (see models.zoo.weights).
    layouts = (lwop_layouts.from_published, lwop_layouts.open_model_zoo)

    def __init__(self, variant: Variant = LWOP_VARIANT, refinements: int = 1) -> None:
        super().__init__()
        self.model = self._backbone(variant)
        self.cpm = Cpm(BACKBONE[-1][0], variant)
        self.initial_stage = LwopStage(nn.Sequential(*(ConvUnit(WIDTH, WIDTH) for _ in range(3))), head_width=512)
        self.refinement_stages = nn.ModuleList(
            LwopStage(
                nn.Sequential(
                    RefinementBlock(WIDTH + HEATMAPS + PAFS, variant),
                    *(RefinementBlock(WIDTH, variant) for _ in range(4)),
                ),
                head_width=WIDTH,
            )
            for _ in range(refinements)
        )

    @staticmethod
    def _backbone(variant: Variant) -> nn.Sequential:
        units: list[nn.Module] = [ConvUnit(3, 32, stride=2, norm=variant.norm)]
        inputs = 32
        for outputs, stride, dilation in BACKBONE:
            units.append(SeparableUnit(inputs, outputs, stride=stride, dilation=dilation, norm=variant.norm))
            inputs = outputs
        return nn.Sequential(*units)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What every stage reads, (N, C, H / 8, W / 8)."""
        return self.cpm(self.model(x))


def lwop() -> Lwop:
    """Lightweight OpenPose: 4.090 M parameters, 8.88 conv GMACs at 368x368."""
    return Lwop(LWOP_VARIANT)


def human_pose_0001() -> Lwop:
    """Open Model Zoo human-pose-estimation-0001, 2021.4: 4.099 M parameters; batch norm already folded."""
    return Lwop(HUMAN_POSE_0001_VARIANT)
