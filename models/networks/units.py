"""The building blocks networks share: a convolution with what belongs to it, and a depthwise-separable pair.

Each unit initialises its own weights from a generator, so a random network is reproducible and its activations
neither vanish nor explode: timing and verification on random weights stay meaningful.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fleetpose.errors import unknown_name

Activation = Callable[[], nn.Module] | None

#: the activations a family may be built with, by the names of a Layer's epilogue steps
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardtanh": nn.Hardtanh,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "gelu": nn.GELU,
}

#: Half-width of the uniform distribution random biases are drawn from: not zero, so a dropped bias shows in a test.
BIAS_RANGE = 0.05


def activation_class(name: str) -> Callable[[], nn.Module]:
    """The activation's module class. Raises UsageError, with "did you mean", for an unknown name."""
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


class ConvUnit(nn.Module):
    """Convolution (size-keeping at stride 1), then batch norm, then activation; the last two where asked for.

    Args:
        inputs, outputs: channels.
        kernel: odd, square.
        groups, stride, dilation: as in Conv2d; the padding is dilation * (kernel // 2).
        norm: batch norm after the convolution; the convolution then has no bias unless `bias` says so.
        bias: a bias on the convolution; None means "where there is no norm".
        activation: a module class without arguments, or None.
        gain: multiplies the standard deviation of random weights.
    """

    def __init__(  # noqa: PLR0913  options with defaults
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        norm: bool = False,
        bias: bool | None = None,
        activation: Activation = nn.ReLU,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=not norm if bias is None else bias,
        )
        self.bn = nn.BatchNorm2d(outputs) if norm else None
        self.activation = activation() if activation else None
        self.gain = gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return x if self.activation is None else self.activation(x)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights that keep the second moment of a ReLU network (He et al. 2015, eq. 10) times `gain`."""
        weight = self.conv.weight
        fan_in = weight[0].numel()
        rectified = 2.0 if self.activation is not None else 1.0
        weight.normal_(0.0, self.gain * (rectified / fan_in) ** 0.5, generator=generator)
        if self.conv.bias is not None:
            self.conv.bias.uniform_(-BIAS_RANGE, BIAS_RANGE, generator=generator)


class SeparableUnit(nn.Module):
    """Depthwise 3x3, then pointwise 1x1, each a ConvUnit with the same norm and activation.

    Args:
        inputs, outputs: channels.
        stride, dilation: of the depthwise convolution.
        norm, activation: of both.
        bias: of both; None as in ConvUnit.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        norm: bool = False,
        bias: bool | None = None,
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__()
        self.depthwise = ConvUnit(
            inputs,
            inputs,
            stride=stride,
            dilation=dilation,
            groups=inputs,
            norm=norm,
            bias=bias,
            activation=activation,
        )
        self.pointwise = ConvUnit(inputs, outputs, 1, norm=norm, bias=bias, activation=activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.depthwise(x))


def initialise(network: nn.Module, seed: int) -> None:
    """Draw every ConvUnit's weights of `network` from `seed`, in module order; batch norms keep their defaults."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, ConvUnit):
            module.initialise(generator)


class StagedNetwork(nn.Module):
    """A network whose stages each give heatmaps and part-affinity fields, the later ones from the earlier ones' too.

    A subclass has `features`, `initial_stage` (features -> heatmaps, PAFs) and `refinement_stages` (features, heatmaps,
    PAFs -> heatmaps, PAFs).
    """

    initial_stage: nn.Module
    refinement_stages: nn.ModuleList

    def features(self, x: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  for subclasses
        """What every stage reads, (N, C, H / 8, W / 8)."""
        raise TypeError(f"{type(self).__name__} does not say what its features are")

    def stages(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Every stage's outputs in order, [heatmaps 0, PAFs 0, heatmaps 1, PAFs 1, ...], each (N, C, H / 8, W / 8)."""
        features = self.features(x)
        outputs = [*self.initial_stage(features)]
        for stage in self.refinement_stages:
            outputs.extend(stage(features, *outputs[-2:]))
        return outputs

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last stage's (heatmaps (N, 19, H / 8, W / 8), PAFs (N, 38, H / 8, W / 8))."""
        heatmaps, pafs = self.stages(x)[-2:]
        return heatmaps, pafs
