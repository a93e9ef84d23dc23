"""Random small networks of all operators: any of them may read any map that was made before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from random_arithmetic import BINARY, UNARY
from torch import nn

#: a step's function is given the module's parts and the tensors it reads
Step = Callable[..., torch.Tensor]
#: no map has more elements; a step that would make more is not taken
MOST_ELEMENTS = 3000
#: a map whose largest magnitude is outside of these is scaled, so that later steps stay in float32's range too; one
#: below NOISE is what rounding has left of a sum that is 0, and no step makes it
LEAST, MOST, NOISE = 1e-2, 30.0, 1e-6


class Drawn:
    """Random choices by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def number(self, low: int, high: int) -> int:
        """Between `low` and `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def of(self, *items: Any) -> Any:
        return items[self.number(0, len(items) - 1)]

    def axis(self) -> int:
        return self.number(1, 3)


def convolution(draw: Drawn, shape: tuple[int, ...]) -> Step:
    channels = shape[1]
    groups = draw.of(1, 1, channels, *(by for by in (2, 3) if channels % by == 0))
    kernel = (draw.number(1, 4), draw.number(1, 4)) if draw.number(0, 1) else draw.of(1, 3)
    bias = bool(draw.number(0, 1))
    outputs = groups * draw.number(1, max(1, 8 // groups))
    if draw.number(0, 4) == 0:
        stride = draw.number(1, 2)
        return nn.ConvTranspose2d(channels, outputs, kernel, stride, draw.number(0, 1), 0, groups, bias)
    padding = draw.of("same", 0, 1, 2)
    mode = draw.of("zeros", "zeros", "reflect", "replicate", "circular")
    stride = 1 if padding == "same" else draw.number(1, 2)
    return nn.Conv2d(channels, outputs, kernel, stride, padding, draw.number(1, 2), groups, bias, mode)


def window(draw: Drawn, shape: tuple[int, ...]) -> Step:
    kernel, stride, padding = draw.number(2, 3), draw.number(1, 2), draw.number(0, 1)
    size = (draw.number(1, shape[2]), draw.number(1, shape[3]))
    return draw.of(
        nn.MaxPool2d(kernel, stride, padding, draw.number(1, 2), ceil_mode=bool(draw.number(0, 1))),
        nn.AvgPool2d(kernel, stride, padding, bool(draw.number(0, 1)), bool(draw.number(0, 1))),
        nn.AdaptiveAvgPool2d(size),
        nn.AdaptiveMaxPool2d(size),
        nn.LPPool2d(2, kernel, stride),
    )


def resize(draw: Drawn, shape: tuple[int, ...]) -> Step:
    mode = draw.of("nearest", "nearest-exact", "bilinear", "bicubic", "area")
    size = (draw.number(1, 2 * shape[2]), draw.number(1, 2 * shape[3]))
    corners = bool(draw.number(0, 1)) if mode in ("bilinear", "bicubic") else None
    return lambda x: F.interpolate(x, size, mode=mode, align_corners=corners)


def pad(draw: Drawn, shape: tuple[int, ...]) -> Step:
    mode = draw.of("constant", "constant", "reflect", "replicate", "circular")
    amounts = [draw.number(-1 if mode == "constant" else 0, 2) for _ in range(4)]
    if mode == "constant":
        value = draw.of(0.0, 0.0, 0.5)
        amounts += [0, draw.number(0, 2)] if draw.number(0, 3) == 0 else []
        return lambda x: F.pad(x, amounts, value=value)
    return lambda x: F.pad(x, amounts, mode)


def norm(draw: Drawn, shape: tuple[int, ...]) -> Step:
    channels = shape[1]
    by_group = nn.GroupNorm(draw.of(*(by for by in (1, 2, 3, channels) if channels % by == 0)), channels)
    last = nn.LayerNorm(channels)
    return draw.of(
        nn.BatchNorm2d(channels),
        by_group,
        nn.InstanceNorm2d(channels, affine=True),
        nn.LayerNorm(shape[1:]),
        Permuted(last),
    )


class Permuted(nn.Module):
    """A part that works on the last axis, given the channels there."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def view(draw: Drawn, shape: tuple[int, ...]) -> Step:
    axis = draw.axis()
    extent, channels = shape[axis], shape[1]
    start, step = draw.number(0, extent - 1), draw.number(1, 2)
    by = draw.of(*(each for each in (1, 2, 3, 4) if channels % each == 0))
    order = draw.of((0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 2, 1), (0, 2, 3, 1))
    shift = draw.number(-3, 3)
    return draw.of(
        lambda x: x[(slice(None),) * axis + (slice(start, None, step),)],
        lambda x: x.flip(axis),
        lambda x: x.roll(shift, axis),
        lambda x: x.permute(order),
        lambda x: x.reshape(1, by, channels // by, *shape[2:]).transpose(1, 2).reshape(x.shape),
        lambda x: x.repeat_interleave(2, axis),
        lambda x: torch.cat(x.chunk(2, axis)[::-1], axis),
        lambda x: F.pixel_shuffle(x, 2),
        lambda x: F.pixel_unshuffle(x, 2),
        lambda x: x.flatten(2).unsqueeze(2),
        lambda x: torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1),
    )


def reduction(draw: Drawn, shape: tuple[int, ...]) -> Step:
    axis, axes = draw.axis(), draw.of((2, 3), (1,), (2,), (1, 2, 3))
    return draw.of(
        lambda x: x.mean(axes, keepdim=True),
        lambda x: x.sum(axes, keepdim=True),
        lambda x: x.amax(axes, keepdim=True),
        lambda x: x.softmax(axis),
        lambda x: F.normalize(x, dim=axis, eps=1e-3),
        lambda x: x - x.mean(axes, keepdim=True),
    )


class Attention(nn.Module):
    """Pixels as tokens: heads of scaled dot products, then a residual."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x):
        batch, channels = x.shape[:2]
        tokens = x.flatten(2).transpose(1, 2)
        parts = self.qkv(tokens).reshape(batch, -1, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts.unbind(0)).transpose(1, 2).reshape(tokens.shape)
        return (tokens + self.out(mixed)).transpose(1, 2).reshape(x.shape)


class Gate(nn.Module):
    """Squeeze-excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


def token(draw: Drawn, shape: tuple[int, ...]) -> Step:
    channels = shape[1]
    heads = draw.of(*(each for each in (1, 2, 4) if channels % each == 0))
    linear = nn.Linear(channels, draw.number(1, 8))
    return draw.of(Attention(channels, heads), Gate(channels), Permuted(linear), nn.Linear(shape[3], draw.number(1, 9)))


def unary(draw: Drawn, shape: tuple[int, ...]) -> Step:
    return draw.of(*UNARY.values())


def constant(draw: Drawn, shape: tuple[int, ...]) -> Step:
    step, first = draw.of(*BINARY.values()), bool(draw.number(0, 1))
    value = torch.randn([extent if draw.number(0, 1) else 1 for extent in shape])
    return Constant(step, nn.Parameter(value), first)


class Constant(nn.Module):
    """An arithmetic step with a parameter on one side."""

    def __init__(self, step: Step, value: nn.Parameter, first: bool) -> None:
        super().__init__()
        self.step, self.value, self.first = step, value, first

    def forward(self, x):
        return self.step(self.value, x) if self.first else self.step(x, self.value)


def binary(draw: Drawn, shape: tuple[int, ...]) -> Step:
    axis = draw.axis()
    return draw.of(
        *BINARY.values(),
        lambda x, y: torch.cat([x, y], axis),
        lambda x, y: torch.cat([x, y, x], 1),
        lambda x, y: x + F.interpolate(y, x.shape[2:]),
        lambda x, y: torch.stack([x, y]).sum(0),
        lambda x, y: x @ y.transpose(2, 3),
    )


#: kinds of steps, the first as often as they are named; `binary` reads two tensors
KINDS = (convolution, convolution, convolution, window, resize, pad, norm, view, view, reduction, token, unary, unary,
         constant, binary, binary, binary)  # fmt: skip


class RandomGraph(nn.Module):
    """A network of up to `length` steps, each on maps made before it; returns the last map and one or two others."""

    def __init__(self, seed: int, shape: tuple[int, int, int], length: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        draw = Drawn(seed)
        self.steps: list[tuple[Step, tuple[int, ...], float]] = []
        self.parts = nn.ModuleList()
        maps = [torch.randn(1, *shape)]
        for _ in range(length):
            self._add(draw, maps)
        self.returned = sorted({len(maps) - 1, draw.number(0, len(maps) - 1), draw.number(0, len(maps) - 1)})

    def _add(self, draw: Drawn, maps: list[torch.Tensor]) -> None:
        kind = draw.of(*KINDS)
        sources = tuple(draw.number(max(0, len(maps) - 4), len(maps) - 1) for _ in range(1 + (kind is binary)))
        read = [maps[source] for source in sources]
        step = kind(draw, tuple(read[0].shape))
        try:
            with torch.no_grad():
                made = (step.eval() if isinstance(step, nn.Module) else step)(*read)
        except (RuntimeError, ValueError):  # a window beyond the map, maps that do not fit, and the like
            return
        largest = float(made.abs().max()) if made.numel() else 0.0
        if made.ndim != 4 or not 0 < made.numel() <= MOST_ELEMENTS or not np.isfinite(largest) or 0 < largest < NOISE:
            return
        scale = 1.0 if LEAST <= largest <= MOST or largest == 0 else 1.0 / largest
        if isinstance(step, nn.Module):
            self.parts.append(step)
        self.steps.append((step, sources, scale))
        maps.append(made * scale)

    def forward(self, x):
        maps = [x]
        for step, sources, scale in self.steps:
            made = step(*(maps[source] for source in sources))
            maps.append(made if scale == 1.0 else made * scale)
        return [maps[index] for index in self.returned]
