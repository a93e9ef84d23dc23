"""OpenPose (Cao et al. 2017, arXiv:1611.08050): VGG19's first ten convolutions and six two-branch stages.

The paper gives its totals (52.3 M parameters, 136.1 GMACs) and takes the architecture from the original.
"""

from __future__ import annotations

from torch import nn

from models.networks.head import HeadShape, TwoBranchNetwork
from models.networks.units import ConvUnit, activation_class

#: VGG19's widths down to stride 8, by resolution; a 2x2 max pool stands between groups
VGG19 = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512))


def openpose(
    widths: tuple[tuple[int, ...], ...] = VGG19,
    head_width: int = 128,
    refinements: int = 5,
    kernels: tuple[int, ...] = (7,) * 5,
    activation: str = "relu",
) -> TwoBranchNetwork:
    """OpenPose: 52.311 M parameters, 135.93 conv GMACs at 368x368. No batch norm; every convolution has a bias.

    Args:
        widths: of the backbone's 3x3 convolutions; four groups, between which the resolution halves.
        head_width, refinements, kernels: as in HeadShape.
        activation: a name `models.networks.units.ACTIVATIONS` knows, for backbone and head.
    """
    chosen = activation_class(activation)
    units: list[nn.Module] = []
    inputs = 3
    for group, members in enumerate(widths):
        if group:
            units.append(nn.MaxPool2d(2))
        for outputs in members:
            units.append(ConvUnit(inputs, outputs, activation=chosen))
            inputs = outputs
    head = HeadShape(head_width, refinements, kernels, norm=False, activation=chosen)
    return TwoBranchNetwork(nn.Sequential(*units), inputs, head)
