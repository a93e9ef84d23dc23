"""A backbone and a way back up: transposed convolutions, resizes, pixel shuffles."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.units import BasicBlock, Bottleneck, separable, shuffle, stem, unit, up


def residual_body(width: int = 8) -> nn.Sequential:
    """ResNet to 1/16."""
    return nn.Sequential(stem(width), BasicBlock(width, width), Bottleneck(width, 2 * width, 2), BasicBlock(16, 24, 2))


class SimpleBaseline(nn.Module):
    """Xiao et al. 2018: ResNet and three transposed convolutions (two here); one map for each joint."""

    def __init__(self, joints: int = 17, kernel: int = 4) -> None:
        super().__init__()
        self.backbone = residual_body()
        self.deconv_layers = nn.Sequential(up(24, 16, kernel), up(16, 16, kernel))
        self.final_layer = nn.Conv2d(16, joints, 1)

    def forward(self, x):
        return self.final_layer(self.deconv_layers(self.backbone(x)))


class DeepLabCut(nn.Module):
    """Mathis et al. 2018: part scores and location refinements by one transposed convolution each."""

    def __init__(self, parts: int = 4) -> None:
        super().__init__()
        self.backbone = residual_body()
        self.part_pred = nn.ConvTranspose2d(24, parts, 3, 2, 1, 1)
        self.locref = nn.ConvTranspose2d(24, 2 * parts, 3, 2, 1, 1)

    def forward(self, x):
        features = self.backbone(x)
        return {"heatmap": torch.sigmoid(self.part_pred(features)), "locref": self.locref(features)}


class TrtPose(nn.Module):
    """NVIDIA's trt_pose: ResNet, transposed convolutions, and an attention map that multiplies each branch."""

    def __init__(self, joints: int = 18, limbs: int = 42) -> None:
        super().__init__()
        self.backbone = residual_body()
        self.cmap_up, self.paf_up = (nn.Sequential(up(24, 16), up(16, 16)) for _ in range(2))
        self.cmap_att, self.paf_att = (nn.Conv2d(16, 16, 3, 1, 1) for _ in range(2))
        self.cmap_conv, self.paf_conv = nn.Conv2d(16, joints, 1), nn.Conv2d(16, limbs, 1)

    def forward(self, x):
        x = self.backbone(x)
        maps, fields = self.cmap_up(x), self.paf_up(x)
        attention, field_attention = torch.sigmoid(self.cmap_att(maps)), torch.tanh(self.paf_att(fields))
        return self.cmap_conv(maps * attention), self.paf_conv(fields * field_attention)


class UNet(nn.Module):
    """Ronneberger et al. 2015, with padded convolutions; the way up by 2x2 transposed convolutions or by resizing."""

    def __init__(self, bilinear: bool, width: int = 6) -> None:
        super().__init__()
        twice = lambda inputs, outputs: nn.Sequential(unit(inputs, outputs), unit(outputs, outputs))  # noqa: E731
        self.inc, self.down1, self.down2 = twice(3, width), twice(width, 2 * width), twice(2 * width, 4 * width)
        self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.up2 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        if bilinear:
            resize = lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)  # noqa: E731
            self.up1 = nn.Sequential(resize(), nn.Conv2d(4 * width, 2 * width, 1))
            self.up2 = nn.Sequential(resize(), nn.Conv2d(2 * width, width, 1))
        self.conv1, self.conv2 = twice(4 * width, 2 * width), twice(2 * width, width)
        self.outc = nn.Conv2d(width, 3, 1)

    def join(self, x, skip):
        rows, columns = skip.size(2) - x.size(2), skip.size(3) - x.size(3)
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return torch.cat([skip, x], dim=1)

    def forward(self, x):
        a = self.inc(x)
        b = self.down1(F.max_pool2d(a, 2))
        c = self.down2(F.max_pool2d(b, 2))
        c = self.conv1(self.join(self.up1(c), b))
        return self.outc(self.conv2(self.join(self.up2(c), a)))


class DlaTree(nn.Module):
    """DLA's block: two residual blocks and a root that joins what both made."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.tree1, self.tree2 = BasicBlock(inputs, outputs, 2), BasicBlock(outputs, outputs)
        self.root = unit(2 * outputs + inputs, outputs, 1)

    def forward(self, x):
        bottom = F.max_pool2d(x, 2, 2)
        left = self.tree1(x)
        return self.root(torch.cat([self.tree2(left), left, bottom], 1))


class CenterNet(nn.Module):
    """Zhou et al. 2019 on DLA: iterative aggregation through bilinear, grouped transposed convolutions, six heads."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.base, self.level2, self.level3 = unit(3, 8, 7, 2), DlaTree(8, 16), DlaTree(16, 32)
        self.proj, self.node = unit(32, 16), unit(16, 16)
        self.up = nn.ConvTranspose2d(16, 16, 4, 2, 1, groups=16, bias=False)
        heads = {"hm": 1, "wh": 2, "hps": 2 * joints, "reg": 2, "hm_hp": joints, "hp_offset": 2}
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Conv2d(16, 12, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(12, channels, 1))
                for name, channels in heads.items()
            }
        )

    def forward(self, x):
        x = self.level2(self.base(x))
        x = self.node(x + self.up(self.proj(self.level3(x))))
        answer = {name: head(x) for name, head in self.heads.items()}
        answer["hm"] = answer["hm"].sigmoid_()
        return [answer]


class AlphaPose(nn.Module):
    """Fang et al. 2017 (FastPose): SE-ResNet, pixel shuffle and two "DUC" units of convolution and pixel shuffle."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.preact = residual_body()
        self.suffle1 = nn.PixelShuffle(2)
        duc = lambda inputs, outputs: nn.Sequential(unit(inputs, outputs), nn.PixelShuffle(2))  # noqa: E731
        self.duc1, self.duc2 = duc(6, 32), duc(8, 16)
        self.conv_out = nn.Conv2d(4, joints, 3, 1, 1)

    def forward(self, x):
        return self.conv_out(self.duc2(self.duc1(self.suffle1(self.preact(x)))))


class OpenPifPaf(nn.Module):
    """Kreiss et al. 2021: composite fields by one 1x1 convolution, a pixel shuffle cropped by one, and five axes."""

    def __init__(self, fields: int = 17, components: int = 5) -> None:
        super().__init__()
        self.fields, self.components = fields, components
        self.base_net = nn.Sequential(
            unit(3, 12, 3, 2), ShuffleNetK(12, 24), unit(24, 24, 1, act=None), nn.ReLU(inplace=True)
        )
        self.conv = nn.Conv2d(24, fields * components * 4, 1)
        self.upsample_op = nn.PixelShuffle(2)

    def forward(self, x):
        x = self.upsample_op(self.conv(self.base_net(x)))
        x = x[:, :, :-1, :-1]
        batch, _, height, width = x.size()
        x = x.view(batch, self.fields, self.components, height, width)
        confidence, offset, spread = x[:, :, 0:1], x[:, :, 1:3], x[:, :, 3:]
        return torch.cat([torch.sigmoid(confidence), offset, F.softplus(spread)], dim=2)


class ShuffleNetK(nn.Module):
    """OpenPifPaf's ShuffleNet block with 5x5 depthwise convolutions, at stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.branch1 = nn.Sequential(unit(inputs, inputs, 5, 2, inputs, None), unit(inputs, half, 1))
        self.branch2 = nn.Sequential(unit(inputs, half, 1), unit(half, half, 5, 2, half, None), unit(half, half, 1))

    def forward(self, x):
        return shuffle(torch.cat((self.branch1(x), self.branch2(x)), dim=1), 2)


class FeaturePyramid(nn.Module):
    """Lin et al. 2017: lateral 1x1 convolutions, sums with what was doubled, and one more level by a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = stem(8)
        self.stages = nn.ModuleList([BasicBlock(8, 8), BasicBlock(8, 16, 2), BasicBlock(16, 24, 2)])
        self.lateral = nn.ModuleList([nn.Conv2d(channels, 12, 1) for channels in (8, 16, 24)])
        self.smooth = nn.ModuleList([nn.Conv2d(12, 12, 3, 1, 1) for _ in range(3)])

    def levels(self, x):
        x, levels = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels

    def forward(self, x):
        levels = [lateral(level) for lateral, level in zip(self.lateral, self.levels(x), strict=True)]
        for index in (1, 0):
            above = F.interpolate(levels[index + 1], size=levels[index].shape[-2:], mode="nearest")
            levels[index] = levels[index] + above
        levels = [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]
        return (*levels, F.max_pool2d(levels[-1], 1, 2, 0))


class CascadedPyramid(FeaturePyramid):
    """Chen et al. 2018 (CPN): a pyramid whose levels are all brought to the finest and refined."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.refine = nn.ModuleList([nn.Sequential(*[Bottleneck(12, 12)] * 1) for _ in range(3)])
        self.predict = nn.Sequential(Bottleneck(36, 16), nn.Conv2d(16, joints, 3, 1, 1))

    def forward(self, x):
        levels = super().forward(x)[:3]
        size = levels[0].shape[2:]
        refined = [refine(level) for refine, level in zip(self.refine, levels, strict=True)]
        refined = [F.interpolate(level, size=size, mode="bilinear", align_corners=True) for level in refined]
        return self.predict(torch.cat(refined, 1))


class BiFpn(FeaturePyramid):
    """Tan et al. 2020 (EfficientDet): sums whose weights are learned, positive and normalised in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.down_weights = nn.Parameter(torch.tensor([[0.8, 1.2], [0.3, 0.9]]))
        self.up_weights = nn.Parameter(torch.tensor([[0.8, 1.2, 0.5], [0.3, -0.9, 0.7]]))
        self.merge = nn.ModuleList([separable(12, 12, act=nn.SiLU) for _ in range(4)])

    def forward(self, x):
        low, middle, top = (lateral(level) for lateral, level in zip(self.lateral, self.levels(x), strict=True))
        down = F.relu(self.down_weights)
        down = down / (down.sum(dim=1, keepdim=True) + 1e-4)
        up_ = F.relu(self.up_weights)
        up_ = up_ / (torch.sum(up_, dim=1, keepdim=True) + 1e-4)
        half = self.merge[0](F.silu(down[0, 0] * middle + down[0, 1] * F.interpolate(top, scale_factor=2)))
        low = self.merge[1](F.silu(down[1, 0] * low + down[1, 1] * F.interpolate(half, scale_factor=2)))
        pooled = F.max_pool2d(low, 3, 2, 1)
        middle = self.merge[2](F.silu(up_[0, 0] * middle + up_[0, 1] * half + up_[0, 2] * pooled))
        top = self.merge[3](F.silu(up_[1, 0] * top + up_[1, 2] * F.max_pool2d(middle, 3, 2, 1)))
        return low, middle, top
