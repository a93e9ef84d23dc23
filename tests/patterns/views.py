"""Slices, joins, shuffles, reshapes, tokens; and outputs of every form."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.patterns.pattern import patterns

Maps = namedtuple("Maps", ("heat", "field"))


@dataclass
class Result:
    heat: Any
    more: Any = None


def shuffle(x, groups):
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, -1, height, width)


class Attention(nn.Module):
    """Self-attention as ViT writes it."""

    def __init__(self, heads=2, fused=False):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        batch, tokens, channels = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = ((q * (channels // self.heads) ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, channels))


def learned_queries(s, x):
    """DETR's decoder: queries that are parameters attend to each other, then to the tokens, by two heads."""
    queries = torch.sin(torch.arange(40.0, dtype=x.dtype)).reshape(1, 5, 8)
    tokens = s.c(x).flatten(2).transpose(1, 2)
    for other in (queries, tokens):
        q, k = (part.view(1, -1, 2, 4).transpose(1, 2) for part in (queries, other))
        queries = queries + F.scaled_dot_product_attention(q, k, k).transpose(1, 2).reshape(1, 5, 8)
    return s.linear(queries)


class Tokens(nn.Module):
    """Patches to tokens, `middle` on them, and back to a map."""

    def __init__(self, middle):
        super().__init__()
        self.patches, self.middle = nn.Conv2d(4, 8, 4, 4), middle

    def forward(self, x):
        x = self.patches(x)
        height, width = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        x = x + self.middle(x)
        return torch.relu(x.transpose(1, 2).reshape(1, 8, height, width))


class ClassToken(nn.Module):
    """A token that is joined, and read alone in the end."""

    def __init__(self):
        super().__init__()
        self.patches, self.token, self.head = nn.Conv2d(4, 8, 4, 4), nn.Parameter(torch.randn(1, 1, 8)), nn.Linear(8, 5)
        self.attention = Attention()

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.head(self.attention(x)[:, 0])


class MultiHead(nn.Module):
    """torch's own attention."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Classifier(nn.Module):
    """A flat map into linear layers, flattened in the way given."""

    def __init__(self, flatten):
        super().__init__()
        self.conv, self.flatten = nn.Conv2d(4, 2, 3, 2, 1), flatten
        self.fc = nn.Sequential(nn.Linear(48, 10), nn.ReLU(), nn.Dropout(), nn.Linear(10, 6))

    def forward(self, x):
        return self.fc(self.flatten(self.conv(x)))


class Regression(nn.Module):
    """DeepPose's: coordinates of a vector."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(4, 8, 3, 2, 1), nn.Linear(8, 34)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3))).view(-1, 17, 2)


class SoftArgmax(nn.Module):
    """Integral pose: expectations over the softmax of each map."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        heat = self.conv(x).flatten(2).softmax(2).view(1, 3, 8, 12)
        columns = (heat.sum(2) * torch.arange(12.0)).sum(2, keepdim=True)
        rows = (heat.sum(3) * torch.arange(8.0)).sum(2, keepdim=True)
        return torch.cat([columns, rows], 2)


class TwoVectors(nn.Module):
    """SimCC: a vector for each axis and joint."""

    def __init__(self):
        super().__init__()
        self.conv, self.columns, self.rows = nn.Conv2d(4, 5, 1), nn.Linear(96, 24), nn.Linear(96, 16)

    def forward(self, x):
        x = torch.flatten(self.conv(x), 2)
        return self.columns(x), self.rows(x)


def windows(s, x):
    """Swin's partition into windows, and back."""
    y = s.c(x).permute(0, 2, 3, 1)
    y = y.view(1, 2, 4, 3, 4, 8).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 16, 8)
    y = torch.tanh(s.linear(y.reshape(-1, 8)).reshape(6, 16, 5))
    return y.view(1, 2, 3, 4, 4, 5).permute(0, 5, 1, 3, 2, 4).reshape(1, 5, 8, 12) * 2


VIEWS = patterns(
    "view",
    {
        "channel slice": lambda s, x: s.c(x)[:, 2:5] * 2,
        "narrow": lambda s, x: torch.narrow(s.c(x), 1, 0, 4) * 2,
        "split": lambda s, x: torch.cat(s.c(x).split([2, 6], 1)[::-1], 1),
        "split in equals": lambda s, x: sum(torch.split(s.c(x), 2, dim=1)),
        "chunk": lambda s, x: torch.cat([(y := s.c(x).chunk(2, 1))[0], y[1] * 2], 1),
        "uneven chunk": lambda s, x: torch.cat(s.c(x).chunk(3, dim=1)[1:], 1) * 2,
        "tensor_split": lambda s, x: torch.tensor_split(s.c(x), 3, 1)[0] * 2,
        "unbind": lambda s, x: torch.stack(s.c(x).unbind(1)[:3], 1) * 2,
        "select": lambda s, x: s.c(x).select(1, 3)[:, None] * 2,
        "index": lambda s, x: s.c(x)[:, 1] * 2,
        "last of negative": lambda s, x: s.c(x)[:, -2:] * 2,
        "ellipsis": lambda s, x: s.c(x)[..., 1:] * 2,
        "None index": lambda s, x: s.c(x)[:, :, None].squeeze(2) * 2,
        "list index": lambda s, x: s.c(x)[:, [0, 3, 3]] * 2,
        "index_select": lambda s, x: torch.index_select(s.c(x), 1, torch.tensor([7, 0, 2])) * 2,
        "strided": lambda s, x: s.c(x)[:, :, ::2, 1::2] * 2,
        "crop to a skip": lambda s, x: torch.cat([y := s.c(x)[:, :, 1:7, 2:10], F.conv2d(y, s.d.weight, padding=1)], 1),
        "CenterCrop": lambda s, x: s.c(x)[..., (8 - 4) // 2 : (8 - 4) // 2 + 4, (12 - 6) // 2 : (12 - 6) // 2 + 6] * 2,
        "flip": lambda s, x: torch.flip(s.c(x), [3]) * 2,
        "roll": lambda s, x: torch.roll(s.c(x), (-2, -2), (2, 3)) * 2,
        "rot90": lambda s, x: torch.rot90(s.c(x), 1, [2, 3]) * 2,
        "transpose": lambda s, x: s.c(x).transpose(2, 3).contiguous() * 2,
        "channel shuffle": lambda s, x: s.d(shuffle(s.c(x), 2)),
        "channel shuffle of torch": lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.ChannelShuffle(4), nn.ReLU()),
        "channel shuffle by flatten": lambda s, x: s.c(x).view(1, 2, 4, 8, 12).transpose(1, 2).flatten(1, 2) * 2,
        "space to depth": lambda s, x: s.c(x).view(1, 8, 4, 2, 6, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 32, 4, 6) * 2,
        "expand": lambda s, x: s.one(s.c(x)).expand(-1, 5, -1, -1) * 2,
        "expand_as": lambda s, x: (y := s.c(x)) * s.one(y).expand_as(y),
        "repeat": lambda s, x: s.one(s.c(x)).repeat(1, 3, 1, 1) * 2,
        "tile": lambda s, x: torch.tile(s.c(x), (1, 1, 1, 2)) * 2,
        "concat": lambda s, x: torch.cat((y := s.c(x), s.d(y), x), dim=1),
        "concat, negative axis": lambda s, x: torch.cat((y := s.c(x), s.d(y)), dim=-3),
        "concat of one": lambda s, x: torch.cat([s.c(x)], 1),
        "concat with itself": lambda s, x: torch.cat([y := s.c(x), y], 1),
        "concat of rows": lambda s, x: torch.cat([y := s.c(x), s.d(y)], 2),
        "concat of columns": lambda s, x: torch.concatenate([y := s.c(x), s.d(y)], -1),
        "hstack": lambda s, x: torch.hstack([y := s.c(x), s.d(y)]),
        "stack": lambda s, x: torch.stack([y := s.c(x), s.d(y)], 2).flatten(1, 2) * 2,
        "dense block": lambda s, x: torch.cat([y := s.c(x), z := s.d(y), s.d(y + z)], 1),
        "CSP": lambda s, x: s.d(torch.cat([(y := s.c(x).chunk(2, 1))[0], y[1] + y[0]], 1)),
        "groups by view": lambda s, x: s.c(x).view(1, 2, 4, 8, 12).sum(1),
        "unflatten": lambda s, x: s.c(x).unflatten(1, (2, 4)).mean(2),
        "reshape with -1": lambda s, x: s.c(x).reshape(x.size(0), -1, 4, 24) * 2,
        "channels last": lambda s, x: F.relu(s.c(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2) * 2,
        "movedim": lambda s, x: torch.movedim(s.c(x), 1, -1).relu(),
        "swapaxes": lambda s, x: s.c(x).swapaxes(1, 3) * 2,
        "as a matrix": lambda s, x: s.c(x).view(8, -1).t().relu(),
        "contiguous": lambda s, x: s.c(x).contiguous().clone().detach(),
        "memory format": lambda s, x: s.d(s.c(x).contiguous(memory_format=torch.channels_last)),
        "ravel": lambda s, x: s.c(x).ravel() * 2,
        "diff": lambda s, x: (y := s.c(x))[..., 1:] - y[..., :-1],
        "even and odd channels": lambda s, x: s.c(x)[:, ::2] + s.c(x)[:, 1::2],
        "shift of groups": lambda s, x: torch.cat([(y := s.c(x))[:, :4].roll(1, 3), y[:, 4:].roll(-1, 2)], 1),
    },
)

TOKENS = patterns(
    "tokens",
    {
        "linear": lambda: Tokens(nn.Linear(8, 8)),
        "MLP": lambda: Tokens(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))),
        "attention": lambda: Tokens(Attention()),
        "attention of torch": lambda: Tokens(Attention(fused=True)),
        "learned queries": learned_queries,
        "MultiheadAttention": lambda: Tokens(MultiHead()),
        "TransformerEncoderLayer": lambda: Tokens(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
        "class token": ClassToken,
        "windows": windows,
        "position": lambda s, x: s.c(x).flatten(2).transpose(1, 2) + torch.arange(96.0)[None, :, None] / 96,
        "mean of tokens": lambda s, x: s.linear(s.c(x).flatten(2).transpose(1, 2).mean(1)),
        "mixer": lambda: Tokens(nn.Sequential(Transposed(nn.Linear(6, 6)), nn.GELU())),
        "batched product": lambda s, x: torch.bmm((y := s.c(x).flatten(2)), y.transpose(1, 2)),
        "channel attention": lambda s, x: ((y := s.c(x).flatten(2)) @ y.transpose(1, 2)).softmax(-1) @ y,
        "non-local": lambda s, x: non_local(s, x),
        "einsum attention": lambda s, x: torch.einsum("bcn,bdn->bcd", y := s.c(x).flatten(2), y) / 96,
        "einsum of channels": lambda s, x: torch.einsum("bchw,c->bhw", s.c(x), s.vector[:, 0, 0]),
        "einsum of two maps": lambda s, x: torch.einsum(
            "bchw,bcij->bhwij", (y := s.c(x))[..., ::4, ::4], y[..., ::4, ::4]
        ),
        "linear on channels last": lambda s, x: s.linear(s.c(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2) * 2,
        "matmul with a constant": lambda s, x: s.c(x) @ torch.ones(12, 5).to(x),
        "matmul from the left": lambda s, x: torch.ones(5, 8).to(x) @ s.c(x),
        "bilinear": lambda s, x: (s.c(x).flatten(2) @ s.d(s.c(x)).flatten(2).mT).flatten(1) * 2,
    },
)


class Transposed(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x.transpose(1, 2)).transpose(1, 2)


def non_local(s, x):
    y = s.c(x)
    theta, phi, value = s.down(y).flatten(2), s.down(y).flatten(2), s.e(y).flatten(2)
    weights = torch.softmax(theta.transpose(1, 2) @ phi, -1)
    return y + (value @ weights.transpose(1, 2)).view_as(y)


OUTPUTS = patterns(
    "output",
    {
        "list": lambda s, x: [y := s.c(x), s.d(y)],
        "nested": lambda s, x: ((y := s.c(x), [s.d(y)]), s.e(y)),
        "dictionary": lambda s, x: {"heat": (y := s.c(x)), "field": s.d(y)},
        "ordered dictionary": lambda s, x: OrderedDict(out=s.c(x)),
        "dataclass": lambda s, x: Result(y := s.c(x), {"field": s.d(y)}),
        "named tuple": lambda s, x: Maps(y := s.c(x), s.d(y)),
        "None inside": lambda s, x: (s.c(x), None),
        "number inside": lambda s, x: (s.c(x), 4),
        "the same twice": lambda s, x: (y := s.c(x), y),
        "the input": lambda s, x: (x, s.c(x)),
        "a constant": lambda s, x: (s.c(x), s.vector),
        "a middle": lambda s, x: (y := torch.relu(s.c(x)), s.d(y)),
        "vector": lambda s, x: s.linear(s.c(x).mean((2, 3))),
        "one number": lambda s, x: s.c(x).mean(),
        "flat": lambda s, x: s.c(x).flatten(1),
        "tokens": lambda s, x: s.c(x).flatten(2).transpose(1, 2),
        "channels last": lambda s, x: s.c(x).permute(0, 2, 3, 1),
        "without batch": lambda s, x: s.c(x)[0],
        "squeezed": lambda s, x: s.one(s.c(x)).squeeze(),
        "five dimensions": lambda s, x: s.c(x).view(1, 2, 4, 8, 12).permute(0, 1, 3, 4, 2).contiguous(),
        "slices": lambda s, x: ((y := s.c(x))[:, :3], torch.sigmoid(y[:, 3:])),
        "split": lambda s, x: s.c(x).split([3, 5], 1),
        "YOLO levels joined": lambda s, x: torch.cat([(y := s.c(x)).flatten(2), s.d(y)[..., ::2, ::2].flatten(2)], 2),
        "classifier by nn.Flatten": lambda: Classifier(nn.Flatten()),
        "classifier by view": lambda: Classifier(lambda x: x.view(x.size(0), -1)),
        "classifier by torch.flatten": lambda: Classifier(lambda x: torch.flatten(x, 1)),
        "regression": Regression,
        "soft argmax": SoftArgmax,
        "two vectors": TwoVectors,
    },
)
