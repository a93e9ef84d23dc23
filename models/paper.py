"""What the paper says of its networks, as plain values: "Towards Fast and Accurate Multi-Person Pose Estimation on
Mobile Devices" (IJCAI-21 demo), Tables 1 and 2; torch-free.

The paper's "GFLOPs" are GMACs with bias and batch norm counted (`models.count.Count.macs_bn`), at 368x368. AP is on
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

#: Table 1: the depths the paper tried at about one budget
TABLE_1 = {
    "resnet50": RESNET50,
    "resnet50_2": RESNET50_2,
    "resnet50_3_t1": RESNET50_3_T1,
    "resnet50_4": RESNET50_4,
}
