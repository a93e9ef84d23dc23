"""Small networks with tokens, written after the published architectures: ViT, Swin, RTMPose's head, PVT, ConvNeXt."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Mlp(nn.Sequential):
    def __init__(self, width: int, ratio: int = 2) -> None:
        super().__init__(nn.Linear(width, width * ratio), nn.GELU(), nn.Linear(width * ratio, width))


class Attention(nn.Module):
    """Multi-head self-attention, written out as in timm."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = ((q * (width // self.heads) ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, width))


class VitBlock(nn.Module):
    def __init__(self, width: int, heads: int, fused: bool = True) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads, fused), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VitPose(nn.Module):
    """ViTPose (Xu et al. 2022): patches, a learned position each, blocks, and a head on the map."""

    def __init__(self, size: tuple[int, int], width: int = 24, heads: int = 3, patch: int = 4) -> None:
        super().__init__()
        self.grid = size[0] // patch, size[1] // patch
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.positions = nn.Parameter(torch.randn(1, self.grid[0] * self.grid[1], width))
        self.blocks = nn.Sequential(VitBlock(width, heads), VitBlock(width, heads, fused=False))
        self.norm, self.head = nn.LayerNorm(width), nn.Conv2d(width, 5, 3, padding=1)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        x = self.norm(self.blocks(x))
        return self.head(x.permute(0, 2, 1).reshape(x.shape[0], -1, *self.grid))


class ClassTokenVit(nn.Module):
    """A vision transformer with a class token, of which a linear layer makes scores."""

    def __init__(self, width: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token, self.block = nn.Parameter(torch.randn(1, 1, width)), VitBlock(width, heads)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 7)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1)
        return self.head(self.norm(self.block(x))[:, 0])


def partition(x, window: int):
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, window * window, channels)


def merge(windows, window: int, height: int, width: int):
    batch = int(windows.shape[0] / (height * width / window / window))
    x = windows.view(batch, height // window, width // window, window, window, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(batch, height, width, -1)


class SwinBlock(nn.Module):
    """A Swin block (Liu et al. 2021): attention in windows, shifted ones with a mask, a bias by relative position."""

    def __init__(self, width: int, heads: int, size: tuple[int, int], window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.size, self.window, self.shift = heads, size, window, shift
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj, self.mlp = nn.Linear(width, 3 * width), nn.Linear(width, width), Mlp(width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads))
        places = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", apart[:, :, 0] * (2 * window - 1) + apart[:, :, 1])
        self.register_buffer("mask", self.make_mask() if shift else None)

    def make_mask(self):
        height, width = self.size
        regions = torch.zeros(1, height, width, 1)
        cuts = (slice(0, -self.window), slice(-self.window, -self.shift), slice(-self.shift, None))
        for number, (rows, columns) in enumerate((rows, columns) for rows in cuts for columns in cuts):
            regions[:, rows, columns] = number
        flat = partition(regions, self.window).squeeze(-1)
        apart = flat[:, None, :] - flat[:, :, None]
        return apart.masked_fill(apart != 0, -100.0)

    def attend(self, x):
        windows, tokens, width = x.shape
        qkv = self.qkv(x).reshape(windows, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = q * (width // self.heads) ** -0.5 @ k.transpose(-2, -1)
        bias = self.table[self.index.view(-1)].view(tokens, tokens, -1).permute(2, 0, 1).contiguous()
        scores = scores + bias.unsqueeze(0)
        if self.mask is not None:
            many = self.mask.shape[0]
            scores = scores.view(windows // many, many, self.heads, tokens, tokens) + self.mask[None, :, None]
            scores = scores.view(-1, self.heads, tokens, tokens)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(windows, tokens, width))

    def forward(self, x):
        (height, width), shift = self.size, self.shift
        kept = x
        x = self.norm1(x).view(x.shape[0], height, width, -1)
        x = torch.roll(x, (-shift, -shift), (1, 2)) if shift else x
        x = merge(self.attend(partition(x, self.window)), self.window, height, width)
        x = torch.roll(x, (shift, shift), (1, 2)) if shift else x
        x = kept + x.view(x.shape[0], height * width, -1)
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    def __init__(self, size: tuple[int, int] = (8, 12), width: int = 12, heads: int = 2, window: int = 4) -> None:
        super().__init__()
        self.size, self.patches = size, nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(*(SwinBlock(width, heads, size, window, shift) for shift in (0, window // 2)))
        self.reduction, self.norm = nn.Linear(4 * width, 2 * width, bias=False), nn.LayerNorm(4 * width)

    def forward(self, x):
        x = self.blocks(self.patches(x).flatten(2).transpose(1, 2))
        x = x.view(x.shape[0], *self.size, -1)
        parts = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = self.reduction(self.norm(torch.cat(parts, -1)))
        return x.permute(0, 3, 1, 2)


class ScaleNorm(nn.Module):
    """RTMPose's norm: by the root of the mean square, with one learned factor."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale, self.eps, self.g = width**-0.5, eps, nn.Parameter(torch.ones(1))

    def forward(self, x):
        norm = torch.norm(x, dim=2, keepdim=True) * self.scale
        return x / norm.clamp(min=self.eps) * self.g


class GatedAttention(nn.Module):
    """RTMPose's gated attention unit (Jiang et al. 2023), self-attention of keypoints."""

    def __init__(self, tokens: int, width: int, expansion: int = 2, shared: int = 16) -> None:
        super().__init__()
        self.shared, self.inner = shared, width * expansion
        self.uv, self.o = (
            nn.Linear(width, 2 * self.inner + shared, bias=False),
            nn.Linear(self.inner, width, bias=False),
        )
        self.gamma, self.beta = nn.Parameter(torch.rand(2, shared)), nn.Parameter(torch.rand(2, shared))
        self.ln, self.res_scale = ScaleNorm(width), nn.Parameter(torch.rand(width))

    def forward(self, x):
        uv = F.silu(self.uv(self.ln(x)))
        u, v, base = torch.split(uv, [self.inner, self.inner, self.shared], dim=2)
        base = base.unsqueeze(2) * self.gamma[None, None, :] + self.beta
        q, k = torch.unbind(base, dim=2)
        kernel = torch.square(F.relu(torch.bmm(q, k.permute(0, 2, 1)) / self.shared**0.5))
        return x * self.res_scale + self.o(u * torch.bmm(kernel, v))


class SimccHead(nn.Module):
    """RTMPose's head: a map for each keypoint made a token, a gated attention unit, classes along x and y."""

    def __init__(self, size: tuple[int, int], channels: int = 3, keypoints: int = 17, width: int = 32) -> None:
        super().__init__()
        self.final = nn.Conv2d(channels, keypoints, 7, padding=3)
        flat = size[0] * size[1]
        self.mlp, self.gau = nn.Sequential(ScaleNorm(flat), nn.Linear(flat, width, bias=False)), None
        self.gau = GatedAttention(keypoints, width)
        self.x, self.y = nn.Linear(width, 2 * size[1] * 4, bias=False), nn.Linear(width, 2 * size[0] * 4, bias=False)

    def forward(self, x):
        x = self.gau(self.mlp(torch.flatten(self.final(x), 2)))
        return self.x(x), self.y(x)


class SpatialReduction(nn.Module):
    """PVT's attention (Wang et al. 2021): keys and values of a map that a strided convolution made smaller."""

    def __init__(self, width: int, heads: int, size: tuple[int, int], ratio: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.q, self.kv, self.proj = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.sr, self.norm = nn.Conv2d(width, width, ratio, ratio), nn.LayerNorm(width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q = self.q(x).reshape(batch, tokens, self.heads, width // self.heads).permute(0, 2, 1, 3)
        smaller = self.sr(x.permute(0, 2, 1).reshape(batch, width, *self.size)).reshape(batch, width, -1)
        kv = self.kv(self.norm(smaller.permute(0, 2, 1)))
        k, v = kv.reshape(batch, -1, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)) * (width // self.heads) ** -0.5
        x = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, tokens, width)
        return self.proj(x)


class Pvt(nn.Module):
    """A stage of PVT v2: patches, an attention block, an MLP with a depthwise convolution inside."""

    def __init__(self, size: tuple[int, int] = (8, 6), width: int = 16) -> None:
        super().__init__()
        self.size, self.patches = size, nn.Conv2d(3, width, 7, 4, 3)
        self.norm0, self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = SpatialReduction(width, 2, size, 2)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, 1, 1, groups=2 * width)

    def forward(self, x):
        x = self.norm0(self.patches(x).flatten(2).transpose(1, 2))
        x = x + self.attn(self.norm1(x))
        y = self.fc1(self.norm2(x))
        y = self.depthwise(y.transpose(1, 2).view(1, -1, *self.size)).flatten(2).transpose(1, 2)
        x = x + self.fc2(F.gelu(y))
        return x.reshape(1, *self.size, -1).permute(0, 3, 1, 2).contiguous()


class TransPose(nn.Module):
    """TransPose (Yang et al. 2021): torch's own encoder on a feature map, tokens first, and a head on the map."""

    def __init__(self, size: tuple[int, int] = (8, 6), width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.positions = nn.Parameter(torch.randn(size[0] * size[1], 1, width))
        self.encoder = nn.TransformerEncoderLayer(width, 2, 24)
        self.head = nn.Conv2d(width, 5, 1)

    def forward(self, x):
        x = self.stem(x)
        batch, channels, height, width = x.shape
        x = self.encoder(x.flatten(2).permute(2, 0, 1) + self.positions)
        return self.head(x.permute(1, 2, 0).contiguous().view(batch, channels, height, width))


class ConvNext(nn.Module):
    """A ConvNeXt block (Liu et al. 2022), channels last in the middle, and its norm between stages."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, width, 4, 4), nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm, self.mlp, self.gamma = nn.LayerNorm(width, eps=1e-6), Mlp(width, 4), nn.Parameter(torch.rand(width))
        self.weight, self.bias = nn.Parameter(torch.rand(width)), nn.Parameter(torch.rand(width))

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        x = x + (self.mlp(y) * self.gamma).permute(0, 3, 1, 2)
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


#: name -> (network, its input's (channels, height, width))
NETWORKS = {
    "ViTPose": (VitPose((32, 24)), (3, 32, 24)),
    "ViT with a class token": (ClassTokenVit(), (3, 20, 24)),
    "Swin": (Swin(), (3, 32, 48)),
    "RTMPose's head": (SimccHead((8, 6)), (3, 8, 6)),
    "PVT": (Pvt(), (3, 32, 24)),
    "TransPose": (TransPose(), (3, 32, 24)),
    "ConvNeXt": (ConvNext(), (3, 32, 24)),
}


def shake(module: nn.Module, seed: int = 1) -> nn.Module:
    """The module with vectors of random parameters, and running statistics that do something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim < 2:
                parameter.normal_(0, 0.5, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return module.eval()
