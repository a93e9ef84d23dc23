"""Every network of the zoo by its name."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from tests.zoo import attention, backbones, detectors, mobile, stages, upsampling
from tests.zoo.units import Bottleneck

Size = tuple[int, int]


@dataclass(frozen=True)
class ZooNetwork:
    """A small network after a published architecture.

    Attributes:
        family: which of the zoo's modules it is in.
        create: makes it, with random weights.
        size: input (height, width).
    """

    family: str
    create: Callable[[], nn.Module]
    size: Size = (64, 48)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return 3, *self.size


def _entry(create: Callable[[], nn.Module], size: Size = (64, 48)) -> ZooNetwork:
    made = create.func if isinstance(create, partial) else create
    return ZooNetwork(made.__module__.rpartition(".")[2], create, size)


def _residual(block) -> ZooNetwork:
    return _entry(partial(backbones.residual_network, block))


def _middle(part) -> ZooNetwork:
    return _residual(lambda inputs, outputs, stride: Bottleneck(inputs, outputs, stride, middle=part))


ZOO = {
    "SimpleBaseline": _entry(upsampling.SimpleBaseline),
    "SimpleBaseline 3x3": _entry(partial(upsampling.SimpleBaseline, kernel=3)),
    "DeepLabCut": _entry(upsampling.DeepLabCut),
    "trt_pose": _entry(upsampling.TrtPose),
    "U-Net": _entry(partial(upsampling.UNet, False)),
    "U-Net bilinear": _entry(partial(upsampling.UNet, True), (44, 60)),
    "CenterNet DLA": _entry(upsampling.CenterNet, (64, 64)),
    "AlphaPose": _entry(upsampling.AlphaPose),
    "OpenPifPaf": _entry(upsampling.OpenPifPaf),
    "FPN": _entry(upsampling.FeaturePyramid),
    "CPN": _entry(upsampling.CascadedPyramid),
    "BiFPN": _entry(upsampling.BiFpn, (64, 64)),
    "ResNet": _entry(backbones.resnet),
    "ResNeXt": _residual(backbones.resnext),
    "SE-ResNet": _residual(backbones.se_resnet),
    "RegNet": _residual(backbones.regnet),
    "SCNet": _middle(backbones.SelfCalibrated),
    "ResNeSt": _middle(backbones.SplitAttention),
    "Res2Net": _middle(backbones.Res2),
    "ViPNAS": _entry(backbones.VipNas),
    "DenseNet": _entry(backbones.DenseNet),
    "VoVNet": _entry(backbones.vovnet),
    "RepVGG": _entry(backbones.repvgg),
    "ConvNeXt": _entry(backbones.ConvNext),
    "Inception": _entry(backbones.Inception),
    "VGG": _entry(backbones.Vgg),
    "MobileNetV1": _entry(mobile.mobilenet_v1),
    "MobileNetV2": _entry(mobile.mobilenet_v2),
    "MobileNetV3": _entry(mobile.mobilenet_v3),
    "EfficientNet": _entry(mobile.efficientnet),
    "EfficientHRNet": _entry(mobile.EfficientHrNet),
    "ShuffleNetV1": _entry(partial(mobile.shufflenet, mobile.ShuffleV1)),
    "ShuffleNetV2": _entry(partial(mobile.shufflenet, mobile.ShuffleV2)),
    "GhostNet": _entry(mobile.ghostnet),
    "MobileOne": _entry(mobile.mobileone),
    "BlazePose": _entry(mobile.BlazePose, (64, 64)),
    "MoveNet": _entry(mobile.MoveNet),
    "MobilePose": _entry(mobile.MobilePose),
    "LitePose": _entry(mobile.LitePose),
    "CPM": _entry(stages.PoseMachine),
    "OpenPose": _entry(stages.OpenPoseStages),
    "Hourglass": _entry(stages.Hourglass),
    "IBPPose": _entry(stages.IbpPose),
    "MSPN": _entry(partial(stages.StagedPyramid, lambda channels: Bottleneck(channels, channels))),
    "RSN": _entry(partial(stages.StagedPyramid, stages.StepBlock, stages.RefineMachine)),
    "HRNet": _entry(stages.HrNet),
    "HigherHRNet": _entry(stages.HigherHrNet, (64, 64)),
    "Lite-HRNet": _entry(partial(stages.HrNet, module=stages.LiteModule)),
    "YOLOv8-pose": _entry(detectors.YoloPose, (64, 64)),
    "YOLOv8-pose decoded": _entry(partial(detectors.YoloPose, decode=True), (64, 96)),
    "YOLO11-pose": _entry(partial(detectors.YoloPose, detectors.C3k2, attention=True), (64, 64)),
    "YOLO26-pose": _entry(partial(detectors.YoloPose, detectors.C3k2, True, decode=True, bins=1), (64, 64)),
    "YOLOX-pose": _entry(detectors.YoloxPose, (64, 64)),
    "CSPDarknet": _entry(detectors.csp_darknet),
    "ViTPose": _entry(attention.VitPose),
    "ViTPose simple": _entry(partial(attention.VitPose, simple=True)),
    "TransPose": _entry(attention.TransPose),
    "HRFormer": _entry(attention.hrformer),
    "Swin": _entry(attention.Swin, (64, 64)),
    "PVT": _entry(attention.Pvt),
    "RTMPose": _entry(attention.RtmPose),
    "SimCC": _entry(attention.SimCc),
    "DeepPose": _entry(attention.Regression),
}


def create_zoo(name: str) -> nn.Module:
    """A network of the zoo in eval mode. Its weights depend on the name alone, and its batch norms do something."""
    torch.manual_seed(zlib.crc32(name.encode()))
    network = ZOO[name].create().eval()
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.2)
                part.running_var.uniform_(0.5, 1.5)
                part.weight.uniform_(0.7, 1.3)
                part.bias.normal_(0, 0.2)
    return network
