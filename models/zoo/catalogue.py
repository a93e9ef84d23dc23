"""The networks this project comes with, as a list of specs; torch-free. `models.zoo.registry` has them by name."""

from __future__ import annotations

from typing import Any

from models.preprocess import Preprocessing
from models.zoo import paper
from models.zoo.blocks import LWOP_BLOCKS, MOVENET_BLOCKS, TWO_BRANCH_BLOCKS
from models.zoo.spec import ModelSpec

#: Of every network of the paper; the paper does not give it, LWOP's authors do.
PREPROCESSING = Preprocessing(mean=(128.0, 128.0, 128.0), scale=1 / 256, channels="BGR")
#: the same of pictures of one channel
GREY = Preprocessing(mean=(128.0,), scale=1 / 256, channels="GREY")


def _two_branch(name: str, family: str, facts: paper.PaperFacts, summary: str, **parameters: Any) -> ModelSpec:
    return ModelSpec(
        name,
        f"models.networks.{family}:{family}",
        PREPROCESSING,
        summary=summary,
        family=family,
        parameters=parameters,
        blocks=TWO_BRANCH_BLOCKS,
        paper=facts,
    )


def _resnet(name: str, facts: paper.PaperFacts, depths: tuple[int, int], widths: tuple[int, int]) -> ModelSpec:
    summary = f"ResNet50's first two stages with {facts.layers} backbone layers, and the head B88"
    return _two_branch(name, "resnet", facts, summary, depths=depths, widths=widths)


CATALOGUE = (
    ModelSpec(
        "lwop",
        "models.networks.lwop:lwop",
        PREPROCESSING,
        summary="Lightweight OpenPose, the paper's baseline; 4.09 M parameters, 8.88 GMACs",
        family="lwop",
        blocks=LWOP_BLOCKS,
        paper=paper.LWOP,
    ),
    ModelSpec(
        "human_pose_0001",
        "models.networks.lwop:human_pose_0001",
        Preprocessing(mean=(128.0, 128.0, 128.0), scale=1 / 255, channels="BGR"),
        summary="Open Model Zoo human-pose-estimation-0001, LWOP's trained sister; 4.10 M parameters",
        family="lwop",
        blocks=LWOP_BLOCKS,
    ),
    ModelSpec(
        "posenet",
        "models.networks.posenet:posenet",
        Preprocessing(mean=(127.5, 127.5, 127.5), scale=1 / 127.5, channels="RGB"),
        outputs=("heatmaps", "short_offsets", "forward_displacements", "backward_displacements"),
        stride=16,
        summary="PoseNet, MobileNetV1 0.75 with PersonLab's heads at stride 16; 1.26 M parameters",
        family="posenet",
        blocks=(("backbone", "backbone"), ("heads.heatmaps", "heatmap branch"), ("heads", "PersonLab heads")),
    ),
    ModelSpec(
        "movenet_multipose",
        "models.networks.movenet:movenet",
        Preprocessing(mean=(127.5, 127.5, 127.5), scale=1 / 127.5, channels="RGB"),
        size=(384, 384),
        outputs=("centres", "displacements", "joint_heatmaps", "joint_offsets"),
        stride=32,
        summary="MoveNet MultiPose Lightning, MobileNetV2 1.5 with a pyramid and CenterNet's heads",
        family="movenet",
        blocks=MOVENET_BLOCKS,
    ),
    _two_branch(
        "openpose",
        "openpose",
        paper.OPENPOSE,
        "OpenPose: VGG19's first ten convolutions and six stages; 52.3 M parameters, 135.9 GMACs",
    ),
    _resnet("resnet50", paper.RESNET50, (3, 4), (64, 128)),
    _resnet("resnet50_2", paper.RESNET50_2, (3, 8), (64, 128)),
    _resnet("resnet50_3", paper.RESNET50_3, (7, 16), (40, 80)),
    _resnet("resnet50_3_t1", paper.RESNET50_3_T1, (4, 19), (52, 72)),
    _resnet("resnet50_4", paper.RESNET50_4, (7, 41), (40, 40)),
    _two_branch(
        "efficientnet",
        "efficientnet",
        paper.EFFICIENTNET,
        "EfficientNet-B3's stages 1-4 without squeeze-excite, head width 80; 3.35 M parameters, 9.14 GMACs",
        variant="b3",
        head_width=80,
    ),
    _two_branch(
        "efficientnet_se",
        "efficientnet",
        paper.EFFICIENTNET_SE,
        "efficientnet with the original's squeeze-excite and Swish; 3.50 M parameters, 9.14 GMACs",
        variant="b3",
        head_width=80,
        activation="silu",
        squeeze_excite=True,
    ),
    _two_branch(
        "efficientnet_b0",
        "efficientnet",
        paper.EFFICIENTNET_B0,
        "EfficientNet-B0's stages 1-4 without squeeze-excite, the head B88; 3.39 M parameters, 7.33 GMACs",
        variant="b0",
        head_width=88,
    ),
)
