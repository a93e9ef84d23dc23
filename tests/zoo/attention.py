"""Networks of tokens: transformers for poses, and heads that end in vectors."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.detectors import CspLayer, Sppf, conv
from tests.zoo.stages import HrNet
from tests.zoo.units import BasicBlock, stem, unit, up


class Attention(nn.Module):
    """Queries, keys and values of one linear layer; the product written out or by torch's own function."""

    def __init__(self, channels: int, heads: int = 2, fused: bool = False) -> None:
        super().__init__()
        self.heads, self.fused, self.scale = heads, fused, (channels // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x, bias=None):
        batch, tokens, channels = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            attention = (q * self.scale) @ k.transpose(-2, -1)
            x = (attention if bias is None else attention + bias).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, channels))


class TokenBlock(nn.Module):
    """Layer norm, attention, layer norm, two linear layers, with residual sums."""

    def __init__(self, channels: int, fused: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps=1e-6), nn.LayerNorm(channels)
        self.attn = Attention(channels, fused=fused)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VitPose(nn.Module):
    """Xu et al. 2022: patches of 16 (8 here), embeddings of places, blocks, and SimpleBaseline's head."""

    def __init__(self, joints: int = 17, channels: int = 16, size: tuple[int, int] = (64, 48), simple=False) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, channels, 8, 8, 2 if simple else 0)
        places = (size[0] // 8) * (size[1] // 8)
        self.pos_embed = nn.Parameter(0.1 * torch.randn(1, places + 1, channels))
        self.blocks = nn.ModuleList([TokenBlock(channels, fused=n == 1) for n in range(2)])
        self.last_norm = nn.LayerNorm(channels)
        self.simple = simple
        self.head = nn.Sequential(up(channels, 16), up(16, 16), nn.Conv2d(16, joints, 1))
        if simple:
            self.head = nn.Conv2d(channels, joints, 3, 1, 1)

    def forward(self, x):
        x = self.patch_embed(x)
        batch, _, height, width = x.shape
        x = x.flatten(2).transpose(1, 2)
        x = x + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            x = block(x)
        x = self.last_norm(x).permute(0, 2, 1).reshape(batch, -1, height, width).contiguous()
        if self.simple:
            x = F.interpolate(F.relu(x), scale_factor=4, mode="bilinear", align_corners=False)
        return self.head(x)


class TransPose(nn.Module):
    """Yang et al. 2021: convolutions, torch's transformer encoder over (places, batch, channels), and maps."""

    def __init__(self, joints: int = 17, channels: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(stem(8), BasicBlock(8, 16, 2))
        self.reduce = nn.Conv2d(16, channels, 1, bias=False)
        self.register_buffer("places", torch.randn(48, 1, channels))
        self.attn = nn.MultiheadAttention(channels, 2)
        self.linear1, self.linear2 = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.deconv, self.final = up(channels, 16), nn.Conv2d(16, joints, 1)

    def forward(self, x):
        x = self.reduce(self.body(x))
        batch, channels, height, width = x.shape
        x = x.flatten(2).permute(2, 0, 1)
        q = x + self.places
        x = self.norm1(x + self.attn(q, q, value=x)[0])
        x = self.norm2(x + self.linear2(F.relu(self.linear1(x))))
        x = x.permute(1, 2, 0).contiguous().view(batch, channels, height, width)
        return self.final(self.deconv(x))


def partition(x: torch.Tensor, size: int) -> torch.Tensor:
    """(B, H, W, C) to windows of tokens, (B * windows, size * size, C)."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // size, size, width // size, size, channels)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, size * size, channels)


def gather_windows(windows: torch.Tensor, size: int, height: int, width: int) -> torch.Tensor:
    """Windows back to (B, H, W, C)."""
    batch = windows.shape[0] // (height * width // size // size)
    x = windows.view(batch, height // size, width // size, size, size, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(batch, height, width, -1)


class SwinBlock(nn.Module):
    """Liu et al. 2021: attention within windows, which every second block shifts; biases by relative place."""

    def __init__(self, channels: int, size: int, shift: int) -> None:
        super().__init__()
        self.size, self.shift = size, shift
        self.norm1, self.norm2, self.attn = nn.LayerNorm(channels), nn.LayerNorm(channels), Attention(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.table = nn.Parameter(0.1 * torch.randn((2 * size - 1) ** 2, 2))
        places = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
        relative = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0) + size - 1
        self.register_buffer("index", relative[..., 0] * (2 * size - 1) + relative[..., 1])

    def mask(self, height: int, width: int):
        """0 within a picture's own region and -100 across, (windows, 1, size^2, size^2)."""
        picture = torch.zeros(1, height, width, 1)
        parts = (slice(0, -self.size), slice(-self.size, -self.shift), slice(-self.shift, None))
        for number, (rows, columns) in enumerate((rows, columns) for rows in parts for columns in parts):
            picture[:, rows, columns] = number
        windows = partition(picture, self.size).squeeze(-1)
        other = windows.unsqueeze(1) != windows.unsqueeze(2)
        return torch.where(other, -100.0, 0.0).unsqueeze(1)

    def forward(self, x):
        _, height, width, _ = x.shape
        y = self.norm1(x)
        bias = self.table[self.index.view(-1)].view(self.size**2, self.size**2, -1).permute(2, 0, 1).unsqueeze(0)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
            bias = bias + self.mask(height, width)
        y = gather_windows(self.attn(partition(y, self.size), bias), self.size, height, width)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    """Patches of 4, two blocks, patches merged in fours, and maps."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.blocks = nn.Sequential(SwinBlock(16, 4, 0), SwinBlock(16, 4, 2))
        self.merge_norm, self.merge = nn.LayerNorm(64), nn.Linear(64, 24, bias=False)
        self.head = nn.Sequential(up(24, 16), nn.Conv2d(16, joints, 1))

    def forward(self, x):
        x = self.norm(self.patch(x).permute(0, 2, 3, 1))
        x = self.blocks(x)
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.head(self.merge(self.merge_norm(x)).permute(0, 3, 1, 2).contiguous())


class PyramidAttention(nn.Module):
    """Wang et al. 2021 (PVT): keys and values of a picture made smaller by a strided convolution."""

    def __init__(self, channels: int, ratio: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.scale = heads, (channels // heads) ** -0.5
        self.q, self.kv, self.proj = (
            nn.Linear(channels, channels),
            nn.Linear(channels, 2 * channels),
            nn.Linear(channels, channels),
        )
        self.sr, self.norm = nn.Conv2d(channels, channels, ratio, ratio), nn.LayerNorm(channels)

    def forward(self, x, height, width):
        batch, tokens, channels = x.shape
        q = self.q(x).reshape(batch, tokens, self.heads, channels // self.heads).permute(0, 2, 1, 3)
        small = self.sr(x.permute(0, 2, 1).reshape(batch, channels, height, width)).reshape(batch, channels, -1)
        small = self.norm(small.permute(0, 2, 1))
        kv = self.kv(small).reshape(batch, -1, 2, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        attention = ((q @ kv[0].transpose(-2, -1)) * self.scale).softmax(dim=-1)
        return self.proj((attention @ kv[1]).transpose(1, 2).reshape(batch, tokens, channels))


class Pvt(nn.Module):
    """PVTv2's stage: overlapping patches, attention, and a depthwise convolution inside the linear layers."""

    def __init__(self, joints: int = 17, channels: int = 16) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv2d(3, channels, 7, 4, 3), nn.LayerNorm(channels)
        self.norm1, self.norm2, self.attn = (
            nn.LayerNorm(channels),
            nn.LayerNorm(channels),
            PyramidAttention(channels, 4),
        )
        self.fc1, self.fc2 = nn.Linear(channels, 32), nn.Linear(32, channels)
        self.dwconv = nn.Conv2d(32, 32, 3, 1, 1, groups=32)
        self.final = nn.Conv2d(channels, joints, 1)

    def forward(self, x):
        x = self.proj(x)
        _, _, height, width = x.shape
        x = self.norm(x.flatten(2).transpose(1, 2))
        x = x + self.attn(self.norm1(x), height, width)
        y = self.fc1(self.norm2(x))
        y = self.dwconv(y.transpose(1, 2).view(1, 32, height, width)).flatten(2).transpose(1, 2)
        x = x + self.fc2(F.gelu(y))
        return self.final(x.transpose(1, 2).reshape(1, -1, height, width))


class FormerModule(nn.Module):
    """Yuan et al. 2021 (HRFormer): attention within windows at each resolution, and a sum across."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for width in widths])
        self.attns = nn.ModuleList([Attention(width) for width in widths])
        self.mlps = nn.ModuleList(
            [
                nn.Sequential(
                    unit(w, 2 * w, 1, act=nn.GELU), unit(2 * w, 2 * w, 3, 1, 2 * w, nn.GELU), unit(2 * w, w, 1)
                )
                for w in widths
            ]
        )
        self.cross = unit(widths[1], widths[0], 1, act=None)

    def attend(self, n: int, x):
        batch, channels, height, width = x.shape
        tokens = self.norms[n](x.flatten(2).transpose(1, 2)).view(batch, height, width, channels)
        below, right = -height % 4, -width % 4
        tokens = F.pad(tokens, (0, 0, right // 2, right - right // 2, below // 2, below - below // 2))
        windows = self.attns[n](partition(tokens, 4))
        tokens = gather_windows(windows, 4, height + below, width + right)
        tokens = tokens[:, below // 2 : height + below // 2, right // 2 : width + right // 2]
        x = x + tokens.permute(0, 3, 1, 2)
        return x + self.mlps[n](x)

    def forward(self, x):
        x = [self.attend(n, level) for n, level in enumerate(x)]
        above = F.interpolate(self.cross(x[1]), scale_factor=2, mode="bilinear", align_corners=False)
        return [F.relu(x[0] + above), *x[1:]]


def hrformer() -> HrNet:
    return HrNet(module=FormerModule)


class ScaleNorm(nn.Module):
    """RTMPose's norm: by the length of each token, times one learned number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.g = channels**-0.5, nn.Parameter(torch.ones(1))

    def forward(self, x):
        norm = torch.norm(x, dim=2, keepdim=True) * self.scale
        return x / norm.clamp(min=1e-5) * self.g


class GatedAttention(nn.Module):
    """Hua et al. 2022, as in RTMPose: squared ReLU instead of softmax, and a gate."""

    def __init__(self, tokens: int, channels: int, hidden: int = 16) -> None:
        super().__init__()
        self.ln, self.e, self.s, self.root = ScaleNorm(channels), 2 * channels, hidden, math.sqrt(hidden)
        self.uv, self.o = nn.Linear(channels, 2 * self.e + hidden, bias=False), nn.Linear(self.e, channels, bias=False)
        self.gamma, self.beta = nn.Parameter(torch.rand(2, hidden)), nn.Parameter(torch.rand(2, hidden))
        self.w = nn.Parameter(torch.randn(2 * tokens - 1))
        self.res_scale = nn.Parameter(torch.rand(channels))

    def forward(self, x):
        uv = F.silu(self.uv(self.ln(x)))
        u, v, base = torch.split(uv, [self.e, self.e, self.s], dim=2)
        base = base.unsqueeze(2) * self.gamma[None, None, :] + self.beta
        q, k = torch.unbind(base, dim=2)
        kernel = torch.square(F.relu(torch.bmm(q, k.permute(0, 2, 1)) / self.root))
        return x * self.res_scale + self.o(u * torch.bmm(kernel, v))


class RtmPose(nn.Module):
    """Jiang et al. 2023: CSPNeXt, a 7x7 convolution, tokens of joints, gated attention, vectors by axis (SimCC)."""

    def __init__(self, joints: int = 17, size: tuple[int, int] = (64, 48)) -> None:
        super().__init__()
        self.backbone = nn.Sequential(conv(3, 8, 3, 2), conv(8, 16, 3, 2), NextLayer(16), conv(16, 24, 3, 2), Sppf(24))
        self.final_layer = nn.Conv2d(24, joints, 7, 1, 3)
        places = (size[0] // 8) * (size[1] // 8)
        self.mlp = nn.Sequential(ScaleNorm(places), nn.Linear(places, 24, bias=False))
        self.gau = GatedAttention(joints, 24)
        self.cls_x, self.cls_y = (nn.Linear(24, 2 * extent, bias=False) for extent in reversed(size))

    def forward(self, x):
        x = torch.flatten(self.final_layer(self.backbone(x)), 2)
        x = self.gau(self.mlp(x))
        return self.cls_x(x), self.cls_y(x)


class NextLayer(CspLayer):
    """CSPNeXt's layer: a 5x5 depthwise convolution inside, and a gate over what is joined."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)
        half = channels // 2
        self.m = nn.Sequential(conv(half, half, 3), conv(half, half, 5, 1, half), conv(half, half))
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        x = torch.cat((self.m(self.cv1(x)), self.cv2(x)), dim=1)
        return self.cv3(x * F.hardsigmoid(self.fc(F.adaptive_avg_pool2d(x, 1))))


class SimCc(nn.Module):
    """Li et al. 2022: a backbone's maps flattened, and a linear layer for each axis."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.body = nn.Sequential(stem(8), BasicBlock(8, 16, 2), nn.Conv2d(16, joints, 1))
        self.x, self.y = nn.Linear(48, 96), nn.Linear(48, 128)

    def forward(self, x):
        x = self.body(x)
        x = x.reshape(x.shape[0], x.shape[1], -1)
        return self.x(x), self.y(x)


class Regression(nn.Module):
    """Toshev and Szegedy 2014 (DeepPose), RLE: coordinates by a linear layer from the mean of all places."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.body = nn.Sequential(stem(8), BasicBlock(8, 16, 2))
        self.fc_coord, self.fc_sigma, self.joints = nn.Linear(16, 2 * joints), nn.Linear(16, 2 * joints), joints

    def forward(self, x):
        x = self.body(x).mean((2, 3))
        coord = self.fc_coord(x).reshape(1, self.joints, 2)
        sigma = self.fc_sigma(x).reshape(1, self.joints, -1).sigmoid()
        return {"joints": coord, "scores": torch.mean(1 - sigma, dim=2, keepdim=True)}
