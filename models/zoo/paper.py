"""What the paper says of its networks, as plain values: "Towards Fast and Accurate Multi-Person Pose Estimation on
Mobile Devices" (IJCAI-21 demo), Tables 1 and 2 and Figure 3; torch-free.

The paper's "GFLOPs" are GMACs with bias and batch norm counted (`models.zoo.count.Count.macs_bn`), at 368x368. AP is on
COCO, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperFacts:
    """What the paper prints of one network, None where it prints nothing.

    Attributes:
        layers: convolutions of the backbone.
        params_m: parameters, millions.
        gmacs: its "GFLOPs".
        ap, map: COCO AP, and Table 1's "mAP", which is almost certainly AP at OKS 0.5.
        given: what of the architecture the paper gives.
        inferred: what was found by counting, and is therefore not the only possibility.
    """

    layers: int | None = None
    params_m: float | None = None
    gmacs: float | None = None
    ap: float | None = None
    map: float | None = None
    given: str = ""
    inferred: str = ""


_RESNET_GIVEN = "backbone layers, totals, input size, no dilation, three 3x3 for a 7x7"
_RESNET_INFERRED = "bottlenecks per stage, head width 88, one refinement stage"
_EFFICIENTNET_GIVEN = "no squeeze-excite, friendly activation; pruned 2.01x to 1.68 M and 4.7 G, hence the parameters"

LWOP = PaperFacts(params_m=4.1, gmacs=9.0, ap=0.40, given="totals; the network is published", inferred="nothing")
OPENPOSE = PaperFacts(
    params_m=52.3, gmacs=136.1, ap=0.486, given="totals; the network is published", inferred="nothing"
)
RESNET50 = PaperFacts(24, gmacs=13.68, ap=0.41, map=0.682, given=_RESNET_GIVEN, inferred=_RESNET_INFERRED)
RESNET50_2 = PaperFacts(36, gmacs=16.05, ap=0.423, map=0.69, given=_RESNET_GIVEN, inferred=_RESNET_INFERRED)
#: Table 2; Table 1 says 16.09 of the same network, which is RESNET50_3_T1
RESNET50_3 = PaperFacts(72, 6.77, 16.4, ap=0.439, given=_RESNET_GIVEN, inferred=f"{_RESNET_INFERRED}, middle widths")
RESNET50_3_T1 = PaperFacts(
    72, gmacs=16.09, ap=0.436, map=0.693, given=_RESNET_GIVEN, inferred=f"{_RESNET_INFERRED}, middle widths"
)
RESNET50_4 = PaperFacts(
    147, gmacs=16.46, ap=0.433, map=0.69, given=_RESNET_GIVEN, inferred=f"{_RESNET_INFERRED}, middle widths"
)
EFFICIENTNET = PaperFacts(
    params_m=3.38, given=_EFFICIENTNET_GIVEN, inferred="B3's stages 1-4 at strides 1, 1, 2, 2; head width 80; ReLU6"
)
EFFICIENTNET_B0 = PaperFacts(
    params_m=3.38, given=_EFFICIENTNET_GIVEN, inferred="B0's stages 1-4, the last at stride 1; head width 88; ReLU6"
)
#: The original beside it: 3.50 M (of B0 3.44 M) is beyond the 3.36 to 3.40 M that 1.68 M and 2.01x can be rounded from,
#: while 3.35 M and 3.39 M without gates are at its ends. Multiply-adds cannot tell: gates have 0.002 % of them.
EFFICIENTNET_SE = PaperFacts(
    params_m=3.38,
    given=_EFFICIENTNET_GIVEN,
    inferred="what the paper replaced: squeeze-excite and Swish in B3's stages 1-4; the counts speak against it",
)

#: Table 1: the depths the paper tried at about one budget
TABLE_1 = {
    "resnet50": RESNET50,
    "resnet50_2": RESNET50_2,
    "resnet50_3_t1": RESNET50_3_T1,
    "resnet50_4": RESNET50_4,
}


@dataclass(frozen=True)
class Published:
    """A row of Table 2, or a bar of Figure 3; None where the paper prints nothing.

    Attributes:
        name: as the paper calls it.
        side: of the input, pixels.
        params_m, gmacs, ap: as in PaperFacts.
        over_lwop: times as fast as Lightweight OpenPose on FIGURE_3_DEVICE, compiled by the paper's own compiler.
        model, ratio: the registered network and how much of it is pruned ("dense", "1.80x"); "" of networks not here.
    """

    name: str
    side: int | None = 368
    params_m: float | None = None
    gmacs: float | None = None
    ap: float | None = None
    over_lwop: float | None = None
    model: str = ""
    ratio: str = ""


#: Table 2: accuracy on COCO beside other systems
TABLE_2 = (
    Published("PersonLab", 1401, ap=0.665),
    Published("Associative Embedding", 512, ap=0.655),
    Published("HRNet", 512, ap=0.644),
    Published("HigherHRNet", 512, ap=0.671),
    Published("EfficientHRNet-H4", 384, ap=0.357),
    Published("EfficientHRNet-H3", 416, ap=0.448),
    Published("OpenPose", 368, 52.3, 136.1, 0.486, model="openpose", ratio="dense"),
    Published("Lightweight OpenPose", 368, 4.1, 9.0, 0.40, model="lwop", ratio="dense"),
    Published("ResNet50_3, dense", 368, 6.77, 16.4, 0.439, model="resnet50_3", ratio="dense"),
    Published("ResNet50_3, 1.80x", 368, 3.76, 9.7, 0.420, model="resnet50_3", ratio="1.80x"),
    Published("ResNet50_3, 2.15x", 368, 3.15, 8.3, 0.415, model="resnet50_3", ratio="2.15x"),
    Published("EfficientNet, 2.01x", 368, 1.68, 4.7, 0.416, model="efficientnet", ratio="2.01x"),
)

FIGURE_3_DEVICE = "Galaxy S10 GPU"
#: Figure 3: speed on FIGURE_3_DEVICE against Lightweight OpenPose
FIGURE_3 = (
    Published("Lightweight OpenPose", over_lwop=1.0, model="lwop", ratio="dense"),
    Published("ResNet50_3, dense", over_lwop=1.42, model="resnet50_3", ratio="dense"),
    Published("ResNet50_3, 1.80x", over_lwop=2.07, model="resnet50_3", ratio="1.80x"),
    Published("the fastest one", over_lwop=2.51),
)
