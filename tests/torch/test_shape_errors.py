"""Wrong batches and wrong shapes inside a network: refused in one line, with the part, the line and a fitting mend."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from tests.small_network import Fn

SHAPE = (3, 20, 16)
LINE = r"\(test_shape_errors.py:\d+\)"
NO_SIZE = "it runs on no usual size either: mend the module, or give the size that it was made for"


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def refuse(module: nn.Module) -> str:
    with pytest.raises(UsageError) as error:
        trace(module, SHAPE)
    assert "\n" not in str(error.value)
    return str(error.value)


#: what a network does with pictures of its own making, before a layer "b" that has weights
BATCHES = {
    "mirrored": lambda s, x: s.b(torch.cat([s.a(x), s.a(x.flip(3))], 0)),
    "stacked": lambda s, x: s.b(torch.stack([s.a(x)[0]] * 2)),
    "channels as pictures": lambda s, x: s.b(s.a(x).view(2, 2, 20, 16).repeat(1, 2, 1, 1)),
    "repeated": lambda s, x: s.b(s.a(x).repeat(2, 1, 1, 1)),
    "expanded": lambda s, x: s.b(s.a(x).expand(2, -1, -1, -1)),
}


@pytest.mark.parametrize("function", BATCHES.values(), ids=list(BATCHES))
def test_a_batch_inside_a_network_is_refused_with_one_mend(function):
    message = refuse(Fn(function, a=conv(3, 4), b=conv(4, 4)))
    assert message.startswith("cannot convert torch operator 'conv2d' in module 'b' (small_network.py:")
    assert message.endswith(
        "its result has batch 2; only batch 1 is supported; keep what belongs to one picture in its channels, or run "
        "the network once for each picture"
    )


class Stage(nn.Module):
    """Two convolutions that do not fit together."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(4, 8), conv(16, 4)

    def forward(self, x):
        return self.second(self.first(x))


#: (network, part and line, what PyTorch says, mend)
SHAPES = {
    "channels": (
        nn.Sequential(conv(3, 4), nn.Sequential(Stage())),
        rf" in module '1.0.second' {LINE}: ",
        r"expected input\[1, 8, 20, 16\] to have 16 channels, but got 8",
        NO_SIZE,
    ),
    "norm": (
        nn.Sequential(conv(3, 4), nn.BatchNorm2d(8)), " in module '1': ", "should contain 4 elements not 8", NO_SIZE
    ),
    "features": (
        Fn(lambda s, x: s.l(s.a(x).flatten(1)), a=conv(3, 4), l=nn.Linear(4 * 16 * 16, 5)),
        rf" in module 'l' {LINE}: ",
        r"cannot be multiplied \(1x1280 and 1024x5\)",
        NO_SIZE,
    ),
    "positions": (
        Fn(lambda s, x: s.a(x) + s.p, a=conv(3, 4), p=nn.Parameter(torch.zeros(1, 4, 64, 64))),
        f" {LINE}: ",
        r"tensor a \(16\) must match the size of tensor b \(64\)",
        r"it runs on \(1, 3, 64, 64\): give it an input of that shape",
    ),
    "sum of strides": (
        Fn(lambda s, x: s.a(x) + s.b(x), a=conv(3, 4), b=conv(3, 4, stride=2)), f" {LINE}: ", "must match", NO_SIZE
    ),
    "too small": (
        Fn(lambda s, x: s.b(s.a(x)), a=conv(3, 4, stride=8), b=nn.Conv2d(4, 4, 7)),
        rf" in module 'b' {LINE}: ",
        "Kernel size can't be greater than actual input size",
        r"it runs on \(1, 3, 64, 64\): give it an input of that shape",
    ),
    "odd sides": (
        Fn(
            lambda s, x: x + F.interpolate(s.b(F.max_pool2d(s.a(x), 8)), scale_factor=8), a=conv(3, 4), b=conv(4, 3)
        ),
        f" {LINE}: ",
        "must match",
        r"it runs on \(1, 3, 32, 32\): give it an input of that shape",
    ),
    "grey": (conv(1, 4), ": ", "expected input.* to have 1 channels", r"it runs on \(1, 1, 20, 16\): give it an input"),
}  # fmt: skip


@pytest.mark.parametrize(("network", "place", "why", "mend"), SHAPES.values(), ids=list(SHAPES))
def test_a_wrong_shape_inside_a_network_is_refused_with_the_part_and_a_size_that_fits(network, place, why, mend, capfd):
    with pytest.raises(
        UsageError, match=rf"does not run on an input \(1, 3, 20, 16\){place}.*{why}.*; {mend}"
    ) as error:
        trace(network, SHAPE)
    assert "\n" not in str(error.value)
    assert "Traceback" not in capfd.readouterr().err
    assert network.training
