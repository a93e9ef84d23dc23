"""Detectors that also find keypoints: YOLO's necks and heads, up to what they answer before boxes are chosen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.units import separable, unit


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return unit(inputs, outputs, kernel, stride, groups, nn.SiLU)


class YoloBottleneck(nn.Module):
    def __init__(self, channels: int, add: bool = True) -> None:
        super().__init__()
        self.cv1, self.cv2, self.add = conv(channels, channels, 3), conv(channels, channels, 3), add

    def forward(self, x):
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class C2f(nn.Module):
    """YOLOv8's block: halves of a 1x1 convolution, the last one continued, all joined."""

    def __init__(self, inputs: int, outputs: int, n: int = 2, add: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.cv1, self.cv2 = conv(inputs, outputs), conv((2 + n) * half, outputs)
        self.m = nn.ModuleList([YoloBottleneck(half, add) for _ in range(n)])

    def forward(self, x):
        y = list(self.cv1(x).chunk(2, 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class C3k2(C2f):
    """YOLO11's block: as C2f, with a CSP block inside, by split instead of chunk."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)
        self.half = outputs // 2
        self.m = nn.ModuleList([CspLayer(self.half, self.half)])

    def forward(self, x):
        y = list(self.cv1(x).split((self.half, self.half), 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class CspLayer(nn.Module):
    """Wang et al. 2020 (CSPNet), as in YOLOv5 and YOLOX: two 1x1 branches, one with bottlenecks."""

    def __init__(self, inputs: int, outputs: int, n: int = 1, act: type = nn.SiLU) -> None:
        super().__init__()
        half = outputs // 2
        self.cv1, self.cv2 = unit(inputs, half, 1, act=act), unit(inputs, half, 1, act=act)
        self.m = nn.Sequential(*[YoloBottleneck(half) for _ in range(n)])
        self.cv3 = unit(outputs, outputs, 1, act=act)

    def forward(self, x):
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), dim=1))


class Sppf(nn.Module):
    """Three 5x5 pools, one after the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = conv(channels, channels // 2), conv(2 * channels, channels)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        y = [self.cv1(x)]
        y.extend(self.m(y[-1]) for _ in range(3))
        return self.cv2(torch.cat(y, 1))


class YoloAttention(nn.Module):
    """YOLO11's attention: queries, keys and values of a 1x1 convolution, a depthwise convolution for positions."""

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, channels // heads
        self.key_dim = self.head_dim // 2
        self.scale = self.key_dim**-0.5
        self.qkv = unit(channels, channels + 2 * self.key_dim * heads, 1, act=None)
        self.proj, self.pe = unit(channels, channels, 1, act=None), unit(channels, channels, 3, 1, channels, None)

    def forward(self, x):
        batch, channels, height, width = x.shape
        qkv = self.qkv(x).view(batch, self.heads, 2 * self.key_dim + self.head_dim, height * width)
        q, k, v = qkv.split([self.key_dim, self.key_dim, self.head_dim], dim=2)
        attention = ((q.transpose(-2, -1) @ k) * self.scale).softmax(dim=-1)
        x = (v @ attention.transpose(-2, -1)).view(batch, channels, height, width)
        return self.proj(x + self.pe(v.reshape(batch, channels, height, width)))


class Psa(nn.Module):
    """YOLO11's C2PSA: half of the channels go through attention and a small feed-forward network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.half = channels // 2
        self.cv1, self.cv2 = conv(channels, channels), conv(channels, channels)
        self.attn = YoloAttention(self.half)
        self.ffn = nn.Sequential(conv(self.half, 2 * self.half), unit(2 * self.half, self.half, 1, act=None))

    def forward(self, x):
        a, b = self.cv1(x).split((self.half, self.half), dim=1)
        b = b + self.attn(b)
        return self.cv2(torch.cat((a, b + self.ffn(b)), 1))


class YoloPose(nn.Module):
    """Ultralytics' YOLOv8-pose or, with C3k2 and attention, YOLO11-pose; with decoded boxes and keypoints on request.

    Args:
        block: C2f or C3k2.
        attention: C2PSA after the pools.
        decode: boxes by a softmax over distances and points in pixels, as in the exported network.
        bins: distances a side of a box is a distribution over; 1 in YOLO26, which has no distribution.
    """

    def __init__(self, block=C2f, attention: bool = False, decode: bool = False, bins: int = 8) -> None:
        super().__init__()
        self.decode, self.bins, self.points = decode, bins, 17
        self.stem = nn.Sequential(conv(3, 8, 3, 2), conv(8, 16, 3, 2), block(16, 16))
        self.p4, self.p5 = nn.Sequential(conv(16, 24, 3, 2), block(24, 24)), nn.Sequential(conv(24, 32, 3, 2), Sppf(32))
        self.attention = Psa(32) if attention else nn.Identity()
        self.up, self.n4, self.n3 = nn.Upsample(None, 2, "nearest"), block(56, 24), block(40, 16)
        self.down, self.m4 = conv(16, 16, 3, 2), block(40, 24)
        head = lambda channels, outputs: nn.Sequential(conv(channels, 16, 3), nn.Conv2d(16, outputs, 1))  # noqa: E731
        self.cv2 = nn.ModuleList([head(channels, 4 * bins) for channels in (16, 24)])
        self.cv3 = nn.ModuleList(
            [nn.Sequential(separable(channels, 16, act=nn.SiLU), nn.Conv2d(16, 1, 1)) for channels in (16, 24)]
        )
        self.cv4 = nn.ModuleList([head(channels, 3 * self.points) for channels in (16, 24)])

    def levels(self, x):
        p3 = self.stem(x)
        p4 = self.p4(p3)
        p5 = self.attention(self.p5(p4))
        n4 = self.n4(torch.cat([self.up(p5), p4], 1))
        n3 = self.n3(torch.cat([self.up(n4), p3], 1))
        return [n3, self.m4(torch.cat([self.down(n3), n4], 1))]

    def forward(self, x):
        levels = self.levels(x)
        keypoints = torch.cat([self.cv4[i](x).view(1, 3 * self.points, -1) for i, x in enumerate(levels)], -1)
        maps = [torch.cat((self.cv2[i](x), self.cv3[i](x)), 1) for i, x in enumerate(levels)]
        if not self.decode:
            return maps, keypoints
        joined = torch.cat([level.view(1, 4 * self.bins + 1, -1) for level in maps], 2)
        box, score = joined.split((4 * self.bins, 1), 1)
        anchors, strides = self.anchors([tuple(level.shape[2:]) for level in levels])
        return torch.cat(
            [self.boxes(box, anchors) * strides, score.sigmoid(), self.joints(keypoints, anchors, strides)], 1
        )

    def anchors(self, sizes):
        """Centres of the cells of all levels, (2, cells), and their strides, (1, cells)."""
        points, strides = [], []
        for level, (height, width) in enumerate(sizes):
            y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
            points.append(torch.stack((x, y), -1).view(-1, 2))
            strides.append(torch.full((height * width, 1), 4.0 * 2**level))
        return torch.cat(points).transpose(0, 1), torch.cat(strides).transpose(0, 1)

    def boxes(self, box, anchors):
        if self.bins > 1:
            weights = box.view(1, 4, self.bins, -1).transpose(2, 1).softmax(1)
            box = F.conv2d(weights, torch.arange(self.bins, dtype=box.dtype).view(1, self.bins, 1, 1)).view(1, 4, -1)
        first, second = box.chunk(2, 1)
        low, high = anchors.unsqueeze(0) - first, anchors.unsqueeze(0) + second
        return torch.cat(((low + high) / 2, high - low), 1)

    def joints(self, keypoints, anchors, strides):
        y = keypoints.view(1, self.points, 3, -1)
        places = (y[:, :, :2] * 2.0 + (anchors - 0.5)) * strides
        return torch.cat((places, y[:, :, 2:3].sigmoid()), 2).view(1, 3 * self.points, -1)


class Focus(nn.Module):
    """YOLOv5's and YOLOX's stem: every second pixel of both directions, four times, as channels."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = conv(12, outputs, 3)

    def forward(self, x):
        parts = (x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2])
        return self.conv(torch.cat(parts, dim=1))


class YoloxPose(nn.Module):
    """Ge et al. 2021 (YOLOX), with keypoints as in YOLOX-pose: Focus, CSP layers, a decoupled head per level."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.stem = nn.Sequential(Focus(8), conv(8, 16, 3, 2), CspLayer(16, 16))
        self.dark = nn.Sequential(conv(16, 32, 3, 2), Pyramidal(32), CspLayer(32, 32))
        self.lateral, self.merge = conv(32, 16), CspLayer(32, 16)
        self.stems = nn.ModuleList([conv(16, 16), conv(32, 16)])
        self.cls, self.reg = (nn.ModuleList([conv(16, 16, 3) for _ in range(2)]) for _ in range(2))
        self.scores, self.boxes, self.objects = (
            nn.ModuleList([nn.Conv2d(16, outputs, 1) for _ in range(2)]) for outputs in (1, 4, 1 + 2 * joints)
        )

    def forward(self, x):
        low = self.stem(x)
        high = self.dark(low)
        low = self.merge(torch.cat([F.interpolate(self.lateral(high), scale_factor=2, mode="nearest"), low], 1))
        answers = []
        for n, level in enumerate((low, high)):
            y = self.stems[n](level)
            scores, regression = self.scores[n](self.cls[n](y)).sigmoid(), self.reg[n](y)
            answers.append(torch.cat([self.boxes[n](regression), self.objects[n](regression), scores], 1))
        return torch.cat([answer.flatten(start_dim=2) for answer in answers], dim=2).permute(0, 2, 1)


class Pyramidal(nn.Module):
    """YOLOX's SPP: pools of 5, 9 and 13 side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels // 2), conv(2 * channels, channels)
        self.m = nn.ModuleList([nn.MaxPool2d(kernel, 1, kernel // 2) for kernel in (5, 9, 13)])

    def forward(self, x):
        x = self.conv1(x)
        return self.conv2(torch.cat([x] + [m(x) for m in self.m], dim=1))


def csp_darknet() -> nn.Sequential:
    """YOLOv4's backbone: Mish."""
    mish = lambda inputs, outputs, stride: unit(inputs, outputs, 3, stride, act=nn.Mish)  # noqa: E731
    return nn.Sequential(mish(3, 8, 1), mish(8, 16, 2), CspLayer(16, 16, act=nn.Mish), mish(16, 24, 2), Pyramidal(24))
