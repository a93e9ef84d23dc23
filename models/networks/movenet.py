"""MoveNet MultiPose Lightning: MobileNetV2 of width 1.5, a feature pyramid to stride 4, and CenterNet's heads.

Google's network, as its published graph shows it (batch norms are folded in that graph): returns the maps that
`models.pose.decoding.centres` reads. TensorFlow's padding at stride 2, on sides that are even, is on the right and
below alone. The heads of boxes, which that decoder does not read, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from models.networks.units import ConvUnit

Tensors = Mapping[str, torch.Tensor]

#: outputs and stride of each inverted residual after the first, which expand six times
_BLOCKS = (
    *((40, 2), (40, 1), (48, 2), (48, 1), (48, 1), (96, 2), (96, 1), (96, 1), (96, 1)),
    *((144, 1), (144, 1), (144, 1), (240, 2), (240, 1), (240, 1), (480, 1)),
)
#: the blocks that the pyramid reads, at strides 16, 8 and 4, and its channels there
_LATERALS = ((9, 96, 64), (5, 48, 32), (2, 40, 24))
#: our name, the published one, the number of its first published convolution of each kind, channels
_HEADS = (
    ("centres", "center_0", 3, 4, 1),
    ("joint_heatmaps", "kpt_heatmap_0", 6, 7, 17),
    ("displacements", "kpt_regress_0", 7, 8, 34),
    ("joint_offsets", "kpt_offset_0", 8, 9, 34),
)
_EXTRACTOR = "center_net_mobile_net_v2fpn_feature_extractor/model_1/"


class SameStride(nn.Module):
    """A convolution of stride 2 with TensorFlow's padding on even sides."""

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(self.conv(F.pad(x, (0, 1, 0, 1))))


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise 3x3, a 1x1 that narrows; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, widen: int = 6) -> None:
        super().__init__()
        width = inputs * widen
        self.expand = ConvUnit(inputs, width, 1, activation=nn.ReLU6) if widen > 1 else None
        if stride == 2:
            self.depthwise: nn.Module = SameStride(width, width, width)
        else:
            self.depthwise = ConvUnit(width, width, groups=width, activation=nn.ReLU6)
        self.project = ConvUnit(width, outputs, 1, activation=None)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.residual else y


class SeparableHead(nn.Module):
    """A depthwise 3x3 without bias, a 1x1 with ReLU, and where there are `channels` another 1x1."""

    def __init__(self, inputs: int, width: int, channels: int = 0) -> None:
        super().__init__()
        self.depthwise = ConvUnit(inputs, inputs, groups=inputs, bias=False, activation=None)
        self.pointwise = ConvUnit(inputs, width, 1)
        self.maps = ConvUnit(width, channels, 1, activation=None) if channels else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pointwise(self.depthwise(x))
        return x if self.maps is None else self.maps(x)


class MoveNet(nn.Module):
    """Returns centres, displacements, joint_heatmaps and joint_offsets; sides are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameStride(3, 48)
        blocks: list[nn.Module] = [InvertedResidual(48, 24, 1, widen=1)]
        inputs = 24
        for outputs, stride in _BLOCKS:
            blocks.append(InvertedResidual(inputs, outputs, stride))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = ConvUnit(inputs, 1280, 1, activation=nn.ReLU6)
        self.top = ConvUnit(1280, 64, 1, activation=None)
        self.laterals = nn.ModuleList(ConvUnit(count, width, 1, activation=None) for _, count, width in _LATERALS)
        widths = (*(width for _, _, width in _LATERALS[1:]), 24)
        merges = (SeparableHead(lateral[2], width) for lateral, width in zip(_LATERALS, widths, strict=True))
        self.merges = nn.ModuleList(merges)
        self.heads = nn.ModuleDict({name: SeparableHead(24, 96, channels) for name, *_, channels in _HEADS})
        self.layouts = (published_layout,)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.stem(x)
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        x = self.top(self.last(x))
        for (block_number, _, _), lateral, merge in zip(_LATERALS, self.laterals, self.merges, strict=True):
            x = merge(F.interpolate(x, scale_factor=2.0, mode="nearest") + lateral(features[block_number]))
        maps = {name: head(x) for name, head in self.heads.items()}
        return (
            torch.sigmoid(maps["centres"]),
            maps["displacements"],
            torch.sigmoid(maps["joint_heatmaps"]),
            maps["joint_offsets"],
        )


def published_layout(tensors: Tensors) -> dict[str, torch.Tensor] | None:
    """The published graph's constants, TensorFlow's names and layout (rows, columns, in, out), under our names.

    Vectors of joints are y, x there; their channels change places.
    """
    if f"{_EXTRACTOR}model/Conv1/Conv2D_weights" not in tensors:
        return None
    ours = {}
    for name, place in _places().items():
        value = tensors[name].float()
        if value.ndim == 4:
            depthwise = "depthwise" in place
            value = value.permute(2, 3, 0, 1) if depthwise else value.permute(3, 2, 0, 1)
        if re.match(r"heads\.(displacements|joint_offsets)\.maps", place):
            value = value.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
        ours[place] = value.contiguous()
    return ours


def _places() -> dict[str, str]:
    """Published name -> ours, of every weight and bias that is read."""
    places = {}

    def put(published: str, place: str, weight: str = "/Conv2D_weights", bias: str = "/Conv2D_bn_offset") -> None:
        places[published + weight] = f"{place}.conv.weight"
        if bias:
            places[published + bias] = f"{place}.conv.bias"

    put(f"{_EXTRACTOR}model/Conv1", "stem")
    put(f"{_EXTRACTOR}model/Conv_1", "last")
    for number in range(len(_BLOCKS) + 1):
        block = f"{_EXTRACTOR}model/{f'block_{number}' if number else 'expanded_conv'}_"
        put(f"{block}depthwise", f"blocks.{number}.depthwise", "/depthwise_weights", "/depthwise_bn_offset")
        put(f"{block}project", f"blocks.{number}.project")
        if number:
            put(f"{block}expand", f"blocks.{number}.expand")
    read = ("/Conv2D/ReadVariableOp", "/BiasAdd/ReadVariableOp")
    put(f"{_EXTRACTOR}conv2d", "top", *read)
    for number in range(len(_LATERALS)):
        put(f"{_EXTRACTOR}conv2d_{number + 1}", f"laterals.{number}", *read)
        merge = f"{_EXTRACTOR}separable_conv2d{f'_{number}' if number else ''}/separable_conv2d"
        put(merge, f"merges.{number}.depthwise", "/ReadVariableOp", "")
        put(merge, f"merges.{number}.pointwise", "_weights", "_bn_offset")
    for name, published, separable, last, _ in _HEADS:
        head = f"{published}/separable_conv2d_{separable}"
        put(head, f"heads.{name}.depthwise", "/separable_conv2d/ReadVariableOp", "")
        put(head, f"heads.{name}.pointwise", "/separable_conv2d/ReadVariableOp_1", "/BiasAdd/ReadVariableOp")
        put(f"{published}/conv2d_{last}", f"heads.{name}.maps", *read)
    return places


def movenet() -> MoveNet:
    """MoveNet MultiPose Lightning."""
    return MoveNet()
