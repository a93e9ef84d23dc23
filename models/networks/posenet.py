"""PoseNet: MobileNetV1 with PersonLab's four heads (Howard et al. 2017; Papandreou et al. 2018), at output stride 16.

Batch norms are folded already in the published weights, so that each convolution has a bias. Padding is symmetric, as
TensorFlow's is on sides of 16 n + 1 pixels: cell i stands at pixel 16 i whatever the side.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from models.networks.units import ConvUnit

Tensors = Mapping[str, torch.Tensor]

#: the width-1 network's pointwise outputs and strides after the first convolution of 32
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 1), (1024, 1)),
)
#: name and channels of each head, in the order of the published graph
_HEADS = (("heatmaps", 17), ("forward_displacements", 32), ("short_offsets", 34), ("backward_displacements", 32))


class PoseNet(nn.Module):
    """Returns PersonLab's maps as `models.pose.decoding.personlab` reads them.

    Args:
        width: of the backbone, over MobileNetV1's own.
        last: channels of the last two blocks, over the width-1 network's 1024.
    """

    def __init__(self, width: float = 0.75, last: float = 0.375) -> None:
        super().__init__()
        inputs = int(32 * width)
        units: list[nn.Module] = [ConvUnit(3, inputs, 3, stride=2, activation=nn.ReLU6)]
        for full, stride in _BLOCKS:
            outputs = int(full * (last if full == 1024 else width))
            units.append(ConvUnit(inputs, inputs, 3, stride=stride, groups=inputs, activation=nn.ReLU6))
            units.append(ConvUnit(inputs, outputs, 1, activation=nn.ReLU6))
            inputs = outputs
        self.backbone = nn.Sequential(*units)
        self.heads = nn.ModuleDict({name: ConvUnit(inputs, channels, 1, activation=None) for name, channels in _HEADS})
        self.layouts = (published_layout,)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.backbone(x)
        maps = {name: head(x) for name, head in self.heads.items()}
        return (
            torch.sigmoid(maps["heatmaps"]),
            maps["short_offsets"],
            maps["forward_displacements"],
            maps["backward_displacements"],
        )


def published_layout(tensors: Tensors) -> dict[str, torch.Tensor] | None:
    """Convolutions numbered in the order of the published graph, "00.weight" to "30.bias", under our names."""
    count = 1 + 2 * len(_BLOCKS)
    places = [f"backbone.{number}" for number in range(count)] + [f"heads.{name}" for name, _ in _HEADS]
    wanted = {
        f"{number:02}.{kind}": f"{place}.conv.{kind}"
        for number, place in enumerate(places)
        for kind in ("weight", "bias")
    }
    return {wanted[name]: tensor for name, tensor in tensors.items()} if tensors.keys() == wanted.keys() else None


def posenet(width: float = 0.75, last: float = 0.375) -> PoseNet:
    """PoseNet at the width of the published 0.75 network."""
    return PoseNet(width, last)
