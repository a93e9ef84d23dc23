"""Networks that refine in stages or keep several resolutions: CPM, hourglass, MSPN, RSN, HRNet and its kin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.units import BasicBlock, Bottleneck, SqueezeExcite, shuffle, stem, unit, up


class PoseMachine(nn.Module):
    """Wei et al. 2016 (CPM): 9x9 convolutions, each stage reads features and the maps before."""

    def __init__(self, joints: int = 15) -> None:
        super().__init__()
        conv = lambda inputs, outputs, kernel: nn.Sequential(  # noqa: E731
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(inplace=True)
        )
        self.features = nn.Sequential(conv(3, 8, 9), nn.MaxPool2d(3, 2, 1), conv(8, 12, 9), nn.MaxPool2d(3, 2, 1))
        self.first = nn.Sequential(conv(12, 16, 9), nn.Conv2d(16, joints, 1))
        self.middle = conv(12, 8, 5)
        self.second = nn.Sequential(conv(8 + joints, 16, 11), conv(16, 16, 1), nn.Conv2d(16, joints, 1))

    def forward(self, x):
        features = self.features(x)
        first = self.first(features)
        return [first, self.second(torch.cat([self.middle(features), first], 1))]


class OpenPoseStages(nn.Module):
    """Cao et al. 2019: dense blocks of 3x3 convolutions with PReLU, fields before heatmaps."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 1, 1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, 1, 1),
            nn.PReLU(12),
            nn.MaxPool2d(2),
        )
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1), nn.PReLU(12)) for _ in range(3)])
        self.fields = nn.Sequential(nn.Conv2d(36, 16, 1), nn.PReLU(16), nn.Conv2d(16, 38, 1))
        self.maps = nn.Sequential(nn.Conv2d(12 + 38, 16, 3, 1, 1), nn.PReLU(), nn.Conv2d(16, 19, 1))

    def forward(self, x):
        x = y = self.body(x)
        levels = []
        for block in self.blocks:
            y = block(y)
            levels.append(y)
        fields = self.fields(torch.cat(levels, 1))
        return fields, self.maps(torch.cat([x, fields], 1))


class HourglassTree(nn.Module):
    """Newell et al. 2016: down by pools, up by nearest neighbours, a sum at each level."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.top, self.low1, self.low3 = (Bottleneck(channels, channels) for _ in range(3))
        self.low2 = HourglassTree(depth - 1, channels) if depth > 1 else Bottleneck(channels, channels)

    def forward(self, x):
        low = self.low3(self.low2(self.low1(F.max_pool2d(x, 2, stride=2))))
        return self.top(x) + F.interpolate(low, scale_factor=2)


class Hourglass(nn.Module):
    """Two hourglasses, the second reads the features and the maps of the first."""

    def __init__(self, joints: int = 16, channels: int = 16) -> None:
        super().__init__()
        self.pre = nn.Sequential(unit(3, 8, 7, 2), Bottleneck(8, channels), nn.MaxPool2d(2, 2))
        self.hourglasses = nn.ModuleList([HourglassTree(2, channels) for _ in range(2)])
        self.features = nn.ModuleList([unit(channels, channels, 1) for _ in range(2)])
        self.scores = nn.ModuleList([nn.Conv2d(channels, joints, 1) for _ in range(2)])
        self.merge_features, self.merge_scores = nn.Conv2d(channels, channels, 1), nn.Conv2d(joints, channels, 1)

    def forward(self, x):
        x, answers = self.pre(x), []
        for n, hourglass in enumerate(self.hourglasses):
            features = self.features[n](hourglass(x))
            answers.append(self.scores[n](features))
            if n == 0:
                x = x + self.merge_features(features) + self.merge_scores(answers[-1])
        return torch.stack(answers, 1)


class IbpPose(nn.Module):
    """Li et al. 2020 (IBPPose, SimplePose): an hourglass with gates, leaky ReLU and maps at several scales."""

    def __init__(self, maps: int = 50, channels: int = 12) -> None:
        super().__init__()
        conv = lambda inputs, outputs, kernel=3, stride=1: unit(inputs, outputs, kernel, stride, act=Leaky)  # noqa: E731
        self.pre = nn.Sequential(conv(3, 8, 7, 2), conv(8, channels), nn.MaxPool2d(2, 2))
        self.down, self.bottom = conv(channels, 16, 3, 2), conv(16, 16)
        self.up, self.skip = conv(16, channels), conv(channels, channels)
        self.gate = SqueezeExcite(channels, linear=True)
        self.outs = nn.ModuleList([nn.Conv2d(channels, maps, 1), nn.Conv2d(16, maps, 1)])

    def forward(self, x):
        x = self.pre(x)
        low = self.bottom(self.down(x))
        high = self.gate(self.skip(x) + self.up(F.interpolate(low, scale_factor=2, mode="nearest")))
        return [[self.outs[0](high), self.outs[1](low)]]


class Leaky(nn.LeakyReLU):
    def __init__(self) -> None:
        super().__init__(0.01, inplace=True)


class StepBlock(nn.Module):
    """Cai et al. 2020 (RSN): splits whose convolutions also read all that the split before made."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.width = channels // 4
        self.reduce, self.expand = unit(channels, channels, 1), unit(channels, channels, 1, act=None)
        self.convs = nn.ModuleList(
            [nn.ModuleList([unit(self.width, self.width) for _ in range(n + 1)]) for n in range(4)]
        )

    def forward(self, x):
        splits = torch.split(self.reduce(x), self.width, dim=1)
        before, lasts = [], []
        for split, convs in zip(splits, self.convs, strict=True):
            made = []
            for n, conv in enumerate(convs):
                read = (made[-1] if made else split) + (before[n] if n < len(before) else 0)
                made.append(conv(read))
            before = made
            lasts.append(made[-1])
        return F.relu(x + self.expand(torch.cat(lasts, 1)))


class RefineMachine(nn.Module):
    """RSN's pose refine machine: a gate per channel and a gate per place, from 1x1 and 9x9 depthwise convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.top = unit(channels, channels)
        self.middle = nn.Sequential(nn.AdaptiveAvgPool2d(1), unit(channels, channels, 1), unit(channels, channels, 1))
        self.bottom = nn.Sequential(unit(channels, channels, 1), unit(channels, channels, 9, groups=channels))

    def forward(self, x):
        top = self.top(x)
        return top + torch.sigmoid(self.middle(top)).expand_as(top) * torch.sigmoid(self.bottom(top)) * top


class StagedPyramid(nn.Module):
    """Li et al. 2019 (MSPN): stages of down and up, the next stage reads both; with `block` RSN."""

    def __init__(self, block, refine: type = nn.Identity, joints: int = 17) -> None:
        super().__init__()
        self.stem = stem(16)
        make = lambda: nn.ModuleDict(  # noqa: E731
            {
                "low": block(16),
                "down": unit(16, 16, 3, 2),
                "high": block(16),
                "skip": unit(16, 16, 1, act=None),
                "up": unit(16, 16, 1, act=None),
                "out": nn.Sequential(unit(16, 16, 1), unit(16, joints, act=None)),
                "cross_low": unit(16, 16, 1),
                "cross_high": unit(16, 16, 1),
            }
        )
        self.stages = nn.ModuleList([make() for _ in range(2)])
        self.refine = refine(joints) if refine is not nn.Identity else nn.Identity()

    def forward(self, x):
        x, answers, cross = self.stem(x), [], (0, 0)
        for stage in self.stages:
            low = stage["low"](x) + cross[0]
            high = stage["high"](stage["down"](low)) + cross[1]
            above = F.interpolate(high, size=low.shape[2:], mode="bilinear", align_corners=True)
            x = F.relu(stage["skip"](low) + stage["up"](above))
            cross = (stage["cross_low"](low) + x, stage["cross_high"](high))
            answers.append(self.refine(stage["out"](x)))
        return answers


class HrModule(nn.Module):
    """HRNet's exchange: every resolution becomes the sum of all; in mmpose's form, the sum starts from 0."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([BasicBlock(width, width) for width in widths])
        self.fuse_layers = nn.ModuleList()
        for i, outputs in enumerate(widths):
            row = nn.ModuleList()
            for j, inputs in enumerate(widths):
                if j > i:
                    scaled = nn.Upsample(scale_factor=2 ** (j - i), mode="nearest")
                    row.append(nn.Sequential(unit(inputs, outputs, 1, act=None), scaled))
                elif j == i:
                    row.append(nn.Identity())
                else:
                    steps = [unit(inputs, inputs, 3, 2) for _ in range(i - j - 1)]
                    row.append(nn.Sequential(*steps, unit(inputs, outputs, 3, 2, act=None)))
            self.fuse_layers.append(row)

    def forward(self, x):
        x = [branch(level) for branch, level in zip(self.branches, x, strict=True)]
        fused = []
        for row in self.fuse_layers:
            y = 0
            for j, layer in enumerate(row):
                y += layer(x[j])
            fused.append(F.relu(y))
        return fused


class HrNet(nn.Module):
    """Sun et al. 2019: three resolutions side by side; the finest makes the maps. `module` exchanges between them."""

    def __init__(self, joints: int = 17, widths: tuple[int, ...] = (8, 16, 24), module=HrModule) -> None:
        super().__init__()
        self.stem = nn.Sequential(unit(3, 8, 3, 2), unit(8, 8, 3, 2), Bottleneck(8, 16))
        self.first = unit(16, widths[0])
        self.downs = nn.ModuleList([unit(a, b, 3, 2) for a, b in zip((16, *widths[1:]), widths[1:], strict=False)])
        self.stage2, self.stage3 = module(widths[:2]), module(widths)
        self.final_layer = nn.Conv2d(widths[0], joints, 1)

    def levels(self, x):
        x = self.stem(x)
        levels = self.stage2([self.first(x), self.downs[0](x)])
        return self.stage3([*levels, self.downs[1](levels[-1])])

    def forward(self, x):
        return self.final_layer(self.levels(x)[0])


class HigherHrNet(HrNet):
    """Cheng et al. 2020: maps with tags, and a transposed convolution that reads them for maps twice as fine."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__(2 * joints)
        self.deconv = up(8 + 2 * joints, 8)
        self.blocks = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.last = nn.Conv2d(8, joints, 1)

    def forward(self, x):
        x = self.levels(x)[0]
        first = self.final_layer(x)
        return [first, self.last(self.blocks(self.deconv(torch.cat((x, first), 1))))]


class LiteModule(nn.Module):
    """Yu et al. 2021 (Lite-HRNet): shuffle blocks whose 1x1 convolutions are gates across and within resolutions."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        halves = [width // 2 for width in widths]
        total = sum(halves)
        self.halves = halves
        self.cross = nn.Sequential(
            nn.Conv2d(total, total // 4, 1),
            nn.BatchNorm2d(total // 4),
            nn.ReLU(),
            nn.Conv2d(total // 4, total, 1),
            nn.Sigmoid(),
        )
        self.depthwise = nn.ModuleList([unit(half, half, 3, 1, half, None) for half in halves])
        self.spatial = nn.ModuleList([SqueezeExcite(half) for half in halves])
        self.fuse = HrModule(widths)

    def forward(self, x):
        splits = [level.chunk(2, dim=1) for level in x]
        own, others = [split[0] for split in splits], [split[1] for split in splits]
        small = others[-1].size()[-2:]
        pooled = [F.adaptive_avg_pool2d(level, small) for level in others[:-1]] + [others[-1]]
        gates = torch.split(self.cross(torch.cat(pooled, dim=1)), self.halves, dim=1)
        answer = []
        for n, level in enumerate(others):
            gated = level * F.interpolate(gates[n], size=level.size()[-2:], mode="nearest")
            gated = self.spatial[n](self.depthwise[n](gated))
            answer.append(shuffle(torch.cat([own[n], gated], dim=1), 2))
        return self.fuse(answer)
