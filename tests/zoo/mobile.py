"""Networks for phones: depthwise convolutions, gates, shuffles, cheap operations."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.units import InvertedResidual, SqueezeExcite, classifier, separable, shuffle, unit, up


def mobilenet_v1() -> nn.Sequential:
    """Howard et al. 2017."""
    body = [unit(3, 8, 3, 2), separable(8, 16), separable(16, 24, 2), separable(24, 32, 2)]
    return nn.Sequential(*body, classifier(32))


def mobilenet_v2() -> nn.Sequential:
    """Sandler et al. 2018."""
    body = [unit(3, 8, 3, 2, act=nn.ReLU6), InvertedResidual(8, 8), InvertedResidual(8, 16, 2, 4)]
    return nn.Sequential(*body, InvertedResidual(16, 16, 1, 4), unit(16, 40, 1, act=nn.ReLU6), classifier(40))


class HandSwish(nn.Module):
    """Hard-swish as it was written before torch had it."""

    def forward(self, x):
        return x * (F.relu6(x + 3.0, inplace=False) / 6.0)


class HandSigmoid(nn.Module):
    def forward(self, x):
        return F.relu6(x + 3.0) / 6.0


def mobilenet_v3() -> nn.Sequential:
    """Howard et al. 2019: gates by hard sigmoids, hard-swish."""
    gate = lambda channels: SqueezeExcite(channels, gate=HandSigmoid)  # noqa: E731
    swish = {"act": HandSwish, "gate": gate}
    return nn.Sequential(
        unit(3, 8, 3, 2, act=HandSwish),
        InvertedResidual(8, 8, 2, act=nn.ReLU, gate=gate),
        InvertedResidual(8, 12, 2, 3, 5, **swish),
        InvertedResidual(12, 12, 1, 3, 5, act=nn.Hardswish, gate=lambda c: SqueezeExcite(c, gate=nn.Hardsigmoid)),
        unit(12, 24, 1, act=HandSwish),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(24, 32, 1),
        HandSwish(),
        nn.Flatten(1),
        nn.Linear(32, 10),
    )


class SamePadded(nn.Conv2d):
    """TensorFlow's "same": padding that depends on the input's size, more of it at the end."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class MbConv(nn.Module):
    """Tan and Le 2019 (EfficientNet): expand, depthwise, gate by Swish, project; "same" padding."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int = 3) -> None:
        super().__init__()
        width = 4 * inputs
        self.expand = unit(inputs, width, 1, act=nn.SiLU)
        self.depthwise = SamePadded(width, width, kernel, stride, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)
        self.se_reduce, self.se_expand = nn.Conv2d(width, inputs // 4, 1), nn.Conv2d(inputs // 4, width, 1)
        self.project = unit(width, outputs, 1, act=None)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.norm(self.depthwise(self.expand(x)))
        y = y * torch.sigmoid(y)
        gate = self.se_expand(F.silu(self.se_reduce(F.adaptive_avg_pool2d(y, 1))))
        y = self.project(torch.sigmoid(gate) * y)
        return y + x if self.residual else y


def efficientnet() -> nn.Sequential:
    body = [SamePadded(3, 8, 3, 2), nn.SiLU(), MbConv(8, 8, 1), MbConv(8, 16, 2, 5), MbConv(16, 16, 1)]
    return nn.Sequential(*body, unit(16, 40, 1, act=nn.SiLU), classifier(40))


class EfficientHrNet(nn.Module):
    """Neff et al. 2021: EfficientNet, levels summed at the finest, heatmaps with tags, a transposed convolution."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.stem, self.low, self.high = unit(3, 8, 3, 2, act=nn.SiLU), MbConv(8, 12, 2), MbConv(12, 16, 2)
        self.lateral = nn.Conv2d(16, 12, 1)
        self.final = nn.Conv2d(12, 2 * joints, 1)
        self.deconv, self.last = up(12 + 2 * joints, 12), nn.Conv2d(12, joints, 1)

    def forward(self, x):
        low = self.low(self.stem(x))
        x = low + F.interpolate(self.lateral(self.high(low)), scale_factor=2, mode="nearest")
        first = self.final(x)
        return [first, self.last(self.deconv(torch.cat((x, first), 1)))]


class ShuffleV1(nn.Module):
    """Zhang et al. 2018: grouped 1x1 convolutions with a shuffle; at stride 2 joined with an average pool."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = 2) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        middle = outputs // 4
        self.compress = unit(inputs, middle, 1, 1, groups)
        self.depthwise = unit(middle, middle, 3, stride, middle, None)
        self.expand = unit(middle, outputs - inputs if stride == 2 else outputs, 1, 1, groups, None)

    def forward(self, x):
        y = self.expand(self.depthwise(shuffle(self.compress(x), self.groups)))
        if self.stride == 2:
            return F.relu(torch.cat((F.avg_pool2d(x, 3, 2, 1), y), 1))
        return F.relu(x + y)


class ShuffleV2(nn.Module):
    """Ma et al. 2018: half of the channels pass; then a shuffle."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half, self.stride = outputs // 2, stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(unit(inputs, inputs, 3, stride, inputs, None), unit(inputs, half, 1))
        into = inputs if stride > 1 else half
        self.branch2 = nn.Sequential(unit(into, half, 1), unit(half, half, 3, stride, half, None), unit(half, half, 1))

    def forward(self, x):
        if self.stride == 1:
            x1, x2 = x.chunk(2, dim=1)
            return shuffle(torch.cat((x1, self.branch2(x2)), dim=1), 2)
        return shuffle(torch.cat((self.branch1(x), self.branch2(x)), dim=1), 2)


def shufflenet(block, joints: int = 17) -> nn.Sequential:
    body = [unit(3, 16, 3, 2), nn.MaxPool2d(3, 2, 1), block(16, 32, 2), block(32, 32, 1), block(32, 32, 1)]
    return nn.Sequential(*body, up(32, 16), nn.Conv2d(16, joints, 1))


class GhostModule(nn.Module):
    """Han et al. 2020: some channels by a convolution, the others cheaply from them, cut to the number asked for."""

    def __init__(self, inputs: int, outputs: int, relu: bool = True) -> None:
        super().__init__()
        self.outputs, own = outputs, math.ceil(outputs / 2)
        act = nn.ReLU if relu else None
        self.primary, self.cheap = unit(inputs, own, 1, act=act), unit(own, own, 3, 1, own, act)

    def forward(self, x):
        x1 = self.primary(x)
        return torch.cat([x1, self.cheap(x1)], dim=1)[:, : self.outputs, :, :]


class GhostBottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.ghost1, self.ghost2 = GhostModule(inputs, width), GhostModule(width, outputs, relu=False)
        self.depthwise = unit(width, width, 3, stride, width, None) if stride > 1 else nn.Identity()
        self.se = SqueezeExcite(width, gate=nn.Hardsigmoid)
        self.shortcut = nn.Sequential(unit(inputs, inputs, 3, stride, inputs, None), unit(inputs, outputs, 1, act=None))

    def forward(self, x):
        return self.ghost2(self.se(self.depthwise(self.ghost1(x)))) + self.shortcut(x)


def ghostnet() -> nn.Sequential:
    return nn.Sequential(
        unit(3, 8, 3, 2), GhostBottleneck(8, 15, 12, 1), GhostBottleneck(12, 21, 16, 2), classifier(16)
    )


class MobileOneBlock(nn.Module):
    """Vasu et al. 2023: several branches with batch norms, summed; the sum starts with a number."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, copies=2) -> None:
        super().__init__()
        self.branches = nn.ModuleList([unit(inputs, outputs, kernel, stride, groups, None) for _ in range(copies)])
        self.scale = unit(inputs, outputs, 1, stride, groups, None) if kernel > 1 else None
        self.skip = nn.BatchNorm2d(inputs) if inputs == outputs and stride == 1 else None
        self.se = SqueezeExcite(outputs)

    def forward(self, x):
        y = 0 if self.skip is None else self.skip(x)
        if self.scale is not None:
            y = y + self.scale(x)
        for branch in self.branches:
            y += branch(x)
        return F.relu(self.se(y))


def mobileone() -> nn.Sequential:
    parts = [MobileOneBlock(3, 8, 3, 2), MobileOneBlock(8, 8, 3, 2, groups=8), MobileOneBlock(8, 16, 1)]
    return nn.Sequential(*parts, MobileOneBlock(16, 16, 3, 1, groups=16), classifier(16))


class BlazeBlock(nn.Module):
    """Bazarevsky et al. 2020: 5x5 depthwise, and channels of zeros where the residual has fewer."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.extra = stride, outputs - inputs
        self.convs = nn.Sequential(
            nn.Conv2d(inputs, inputs, 5, stride, 0 if stride == 2 else 2, groups=inputs), nn.Conv2d(inputs, outputs, 1)
        )

    def forward(self, x):
        y = x
        if self.stride == 2:
            x = F.pad(x, (1, 2, 1, 2), "constant", 0)
            y = F.max_pool2d(y, 2, 2)
        if self.extra > 0:
            y = F.pad(y, (0, 0, 0, 0, 0, self.extra), "constant", 0)
        return F.relu(self.convs(x) + y)


class BlazePose(nn.Module):
    """An encoder, a way up for the heatmaps, and a branch that regresses landmarks from all of it."""

    def __init__(self, joints: int = 33) -> None:
        super().__init__()
        self.stem, self.low = unit(3, 8, 3, 2), BlazeBlock(8, 8)
        self.mid, self.high = BlazeBlock(8, 12, 2), BlazeBlock(12, 16, 2)
        self.up1, self.up2 = nn.Conv2d(16, 12, 1), nn.Conv2d(12, 8, 1)
        self.heatmap = nn.Conv2d(8, joints, 3, 1, 1)
        self.regress = nn.Sequential(BlazeBlock(16, 16, 2), BlazeBlock(16, 24))
        self.landmarks, self.flag = nn.Conv2d(24, 4 * joints, 4), nn.Conv2d(24, 1, 4)

    def forward(self, x):
        low = self.low(self.stem(x))
        mid = self.mid(low)
        high = self.high(mid)
        x = mid + F.interpolate(self.up1(high), scale_factor=2, mode="bilinear", align_corners=False)
        x = low + F.interpolate(self.up2(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        z = self.regress(high)
        landmarks = self.landmarks(z).permute(0, 2, 3, 1).reshape(z.shape[0], -1, 4)
        return torch.sigmoid(self.flag(z)).squeeze(), self.heatmap(x), landmarks / 64


class MoveNet(nn.Module):
    """MoveNet-like: MobileNetV2 with a pyramid, heads of separable convolutions, pictures of 0 to 255 inside."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.stem, self.low = unit(3, 8, 3, 2, act=nn.ReLU6), InvertedResidual(8, 12, 2)
        self.high, self.lateral = InvertedResidual(12, 24, 2, 4), nn.Conv2d(12, 16, 1)
        self.top = nn.Conv2d(24, 16, 1)
        self.neck = separable(16, 16)
        self.heads = nn.ModuleList([nn.Sequential(separable(16, 16), nn.Conv2d(16, n, 1)) for n in (1, 34, joints, 34)])

    def forward(self, x):
        low = self.low(self.stem(x * (2.0 / 255.0) - 1.0))
        x = self.neck(self.lateral(low) + F.interpolate(self.top(self.high(low)), scale_factor=2, mode="bilinear"))
        centre, regression, maps, offsets = (head(x) for head in self.heads)
        return {
            "center": torch.sigmoid(centre),
            "regression": regression.permute(0, 2, 3, 1),
            "maps": torch.sigmoid(maps),
            "offsets": offsets,
        }


class MobilePose(nn.Module):
    """MobilePose: MobileNetV2, three pixel shuffles between depthwise convolutions, and a soft argmax over the maps."""

    def __init__(self, joints: int = 16) -> None:
        super().__init__()
        self.backbone = nn.Sequential(unit(3, 8, 3, 2), InvertedResidual(8, 16, 2), InvertedResidual(16, 32, 2))
        self.up = nn.Sequential(nn.PixelShuffle(2), separable(8, 16), nn.PixelShuffle(2), separable(4, 16))
        self.maps = nn.Conv2d(16, joints, 1, bias=False)

    def forward(self, x):
        maps = self.maps(self.up(self.backbone(x)))
        batch, joints, height, width = maps.shape
        heat = F.softmax(maps.view(batch, joints, -1), dim=-1).view_as(maps)
        columns = (torch.arange(width, dtype=heat.dtype, device=heat.device) * 2 + 1) / width - 1
        rows = (torch.arange(height, dtype=heat.dtype, device=heat.device) * 2 + 1) / height - 1
        return torch.stack([(heat.sum(2) * columns).sum(-1), (heat.sum(3) * rows).sum(-1)], dim=-1)


class LitePose(nn.Module):
    """Wang et al. 2022: large kernels, and fusions of deconvolved features with those of the way down."""

    def __init__(self, joints: int = 14) -> None:
        super().__init__()
        self.first = nn.Sequential(unit(3, 8, 3, 2, act=nn.ReLU6), separable(8, 8, act=nn.ReLU6))
        self.stages = nn.ModuleList([InvertedResidual(8, 12, 2, 3, 7), InvertedResidual(12, 20, 2, 3, 7)])
        self.deconv_refined = nn.ModuleList([up(20, 12), up(12, 8)])
        self.deconv_raw = nn.ModuleList([nn.ConvTranspose2d(12, 12, 4, 2, 1, bias=False), up(8, 8)])
        last = lambda inputs, outputs: nn.Sequential(  # noqa: E731
            unit(inputs, inputs, 5, 1, inputs), nn.Conv2d(inputs, outputs, 1)
        )
        self.final_refined = nn.ModuleList([last(12, 2 * joints), last(8, joints)])
        self.final_raw = nn.ModuleList([last(12, 2 * joints), last(8, joints)])

    def forward(self, x):
        x = self.first(x)
        levels = [x]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        refined, raws, answers = levels[-1], levels[::-1][1:], []
        for n, raw in enumerate(raws):
            refined = self.deconv_refined[n](refined) + (0 if n else raw)
            answers.append(self.final_refined[n](refined) + self.final_raw[n](raw))
        return answers
