"""Slices, shuffles, flips, rolls and reshapes of any rank: followed as index maps, and made into few layers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_weights import check_traced
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from tests import sweep
from tests.small_network import Fn


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    torch.manual_seed(inputs + 10 * outputs)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def check(forward, shape=(8, 6, 10), **parts):
    """The ops of the layers that a module becomes, which must compute what it does. A pool of single elements follows,
    since views at a network's end are made on this machine."""
    module = Fn(lambda s, x: F.max_pool2d(forward(s, x), 1), c=conv(shape[0], 8), **parts)
    return Counter(layer.op for layer in check_traced(module, shape).layers if layer.op != "max_pool")


def shuffle(x, groups):
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width).transpose(1, 2).contiguous()
    return x.view(batch, -1, height, width)


def interleave(x):
    """Pixel shuffle by hand, through six dimensions."""
    _, channels, height, width = x.shape
    x = x.reshape(1, channels // 4, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(1, channels // 4, height * 2, width * 2)


ONE_LAYER = {
    "channels": lambda s, x: s.c(x)[:, 2:5],
    "negative": lambda s, x: s.c(x)[:, -3:-1],
    "narrow": lambda s, x: s.c(x).narrow(1, 1, 4),
    "crop": lambda s, x: s.c(x)[:, :, 1:-1, 2:9],
    "stride": lambda s, x: s.c(x)[:, ::3, 1::2, ::4],
    "one channel": lambda s, x: s.c(x)[:, 3].unsqueeze(1),
    "list": lambda s, x: s.c(x)[:, [3, 1, 1, 7]],
    "ellipsis": lambda s, x: s.c(x)[..., [2, 0]],
    "index_select": lambda s, x: torch.index_select(s.c(x), 2, torch.tensor([4, 0, 2])),
    "flip": lambda s, x: s.c(x).flip((1, 3)),
    "fliplr": lambda s, x: torch.fliplr(s.c(x)),
    "rot90": lambda s, x: torch.rot90(s.c(x), 1, (2, 3)),
    "rot270": lambda s, x: torch.rot90(s.c(x), 3, (3, 1)),
    "roll": lambda s, x: s.c(x).roll((2, -3), (2, 3)),
    "transpose": lambda s, x: s.c(x).transpose(2, 3),
    "mT": lambda s, x: s.c(x).mT,
    "movedim": lambda s, x: torch.movedim(s.c(x), (1, 2), (3, 1)),
    "channel_shuffle": lambda s, x: F.channel_shuffle(s.c(x), 2),
    "shuffle": lambda s, x: shuffle(s.c(x), 4),
    "pixel_shuffle": lambda s, x: F.pixel_shuffle(s.c(x), 2),
    "pixel_unshuffle": lambda s, x: F.pixel_unshuffle(s.c(x), 2),
    "interleave": lambda s, x: interleave(s.c(x)),
    "other sizes": lambda s, x: s.c(x).reshape(1, 6, 8, 10),
    "across rows": lambda s, x: s.c(x).reshape(1, 8, 4, 15),
    "tile": lambda s, x: s.c(x).tile((1, 2, 1, 1)),
    "repeat": lambda s, x: s.c(x).repeat(1, 1, 2, 3),
    "repeat_interleave": lambda s, x: s.c(x).repeat_interleave(2, dim=3),
    "expand": lambda s, x: s.c(x)[:, :1].expand(-1, 5, -1, -1),
    "unfold": lambda s, x: s.c(x).unfold(3, 5, 5).permute(0, 1, 4, 2, 3).reshape(1, 40, 6, 2),
    "patches": lambda s, x: s.c(x).unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 1, 4, 5, 2, 3).reshape(1, 32, 3, 5),
    "bgr": lambda s, x: s.c(x)[:, torch.arange(8).flip(0)],
    "there and back": lambda s, x: shuffle(F.pixel_unshuffle(F.pixel_shuffle(s.c(x).flip(1), 2), 2), 2),
    "a map of tokens": lambda s, x: s.c(x).flatten(2).transpose(1, 2).flip(1).transpose(1, 2).reshape(1, 8, 6, 10),
}


@sweep.part(10)
@pytest.mark.parametrize("name", ONE_LAYER)
def test_rearranging_becomes_one_layer(name):
    assert check(ONE_LAYER[name]) == {"conv": 1, "rearrange": 1}


NO_LAYER = {
    "all channels": lambda s, x: s.c(x)[:, :],
    "shuffled twice": lambda s, x: shuffle(shuffle(s.c(x), 2), 4),
    "flipped twice": lambda s, x: s.c(x).flip(2).relu().flip(2),
    "channels last": lambda s, x: F.relu(s.c(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "tokens": lambda s, x: F.relu(s.c(x).flatten(2).transpose(1, 2)).transpose(1, 2).reshape(1, 8, 6, 10),
    "joined again": lambda s, x: s.c(x).view(1, 2, 4, 6, 10).flatten(1, 2).unflatten(1, (4, 2)).reshape(x.shape),
    "squeezed": lambda s, x: s.c(x).squeeze(0).unsqueeze(0).contiguous().clone(),
}


@pytest.mark.parametrize("name", NO_LAYER)
def test_rearranging_that_ends_where_it_began_costs_nothing(name):
    assert check(NO_LAYER[name]) == {"conv": 1}


def test_operators_read_rearranged_tensors():
    assert check(lambda s, x: s.d(s.c(x)[:, 4:]) + s.c(x)[:, :4], d=conv(4, 4)) == {"conv": 3, "rearrange": 2}
    assert check(lambda s, x: s.d(torch.relu(shuffle(s.c(x), 2))), d=conv(8, 3))["conv"] == 2
    focus = check(lambda s, x: s.d(torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)), d=conv(32, 3))
    assert focus == {"conv": 1, "rearrange": 1}
    assert check(lambda s, x: s.c(x).roll(7))["conv"] == 1


def test_the_same_slice_is_made_once():
    assert check(lambda s, x: s.d((y := s.c(x))[:, :4]) + y[:, :4], d=conv(4, 4)) == {"conv": 2, "rearrange": 1}


def test_the_second_result_of_a_pool_is_refused():
    module = Fn(lambda s, x: F.max_pool2d(x, 2, return_indices=True)[1].float())
    with pytest.raises(UsageError):
        trace(module, (4, 6, 6))


STEPS = ("slice", "flip", "roll", "permute", "reshape", "repeat", "select", "unsqueeze", "relu", "add")


@settings(max_examples=sweep.examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_chains_of_views_equal_torch(data):
    shape = tuple(data.draw(st.sampled_from([2, 3, 4, 6, 8]), "side") for _ in range(3))
    plan = data.draw(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 10**6)), min_size=1, max_size=7), "plan")
    check_traced(Fn(lambda s, x: run_plan(x, plan)), shape)


def run_plan(x, plan):  # noqa: C901  a branch for each operation
    """Apply the steps that fit; at last (1, C, H, W) again."""
    for kind, number in plan:
        random = np.random.default_rng(number)
        axis = int(random.integers(x.ndim))
        extent = x.shape[axis]
        if kind == "slice":
            start, step = int(random.integers(extent)), int(random.integers(1, 3))
            x = x[(slice(None),) * axis + (slice(start, extent, step),)]
        elif kind == "flip":
            x = x.flip(axis)
        elif kind == "roll":
            x = x.roll(int(random.integers(-3, 4)), axis)
        elif kind == "permute":
            x = x.permute(*random.permutation(x.ndim).tolist())
        elif kind == "reshape":
            x = x.reshape(random_sizes(x.numel(), random))
        elif kind == "repeat" and x.numel() < 500:
            x = x.repeat_interleave(2, dim=axis)
        elif kind == "select" and x.ndim > 2:
            x = x.select(axis, int(random.integers(extent)))
        elif kind == "unsqueeze" and x.ndim < 6:
            x = x.unsqueeze(axis)
        elif kind == "relu":
            x = torch.relu(x)
        elif kind == "add":
            x = x + x.flip(axis)
    return torch.relu(x.reshape(1, *random_sizes(x.numel(), np.random.default_rng(len(plan)), 3)))


def random_sizes(elements, random, rank=None):
    """Sizes of a tensor of so many elements, its factors dealt out at random."""
    sizes = [1] * (rank or int(random.integers(1, 6)))
    factor = 2
    while elements > 1:
        if elements % factor:
            factor += 1
            continue
        sizes[int(random.integers(len(sizes)))] *= factor
        elements //= factor
    return sizes


def bottlenecks(s, x):
    """As C2f in YOLOv8: two halves, and what is made of the last of them, joined."""
    parts = list(s.c(x).chunk(2, 1))
    for _ in range(2):
        parts.append(s.d(parts[-1]) + parts[-1])
    return s.e(torch.cat(parts, 1))


def test_halves_that_are_joined_again_are_no_layers():
    module = Fn(bottlenecks, c=conv(3, 8), d=conv(4, 4), e=conv(16, 5))
    graph = check_traced(module, (3, 6, 10))
    assert Counter(layer.op for layer in graph.layers) == {"conv": 4, "rearrange": 1, "concat": 1}
    join = next(layer for layer in graph.layers if layer.op == "concat")
    assert join.inputs == ("c", "d_2", "d_3")


def test_slice_of_a_join_reads_the_member():
    def forward(s, x):
        joined = torch.cat([s.c(x), s.d(x)], 1)
        return s.d(joined[:, 8:11]), joined[:, 2:6], joined[:, 6:10]

    graph = check_traced(Fn(forward, c=conv(3, 8), d=conv(3, 3)), (3, 6, 10))
    assert [layer.inputs for layer in graph.layers if layer.op in ("conv", "rearrange")][2:] == [
        ("d",),
        ("c",),
        ("concat",),
    ]


def test_colours_in_another_order_are_in_the_first_weights():
    assert check(lambda s, x: s.d(x[:, [2, 1, 0]]) + s.d(x.flip(1)), shape=(3, 6, 7), d=conv(3, 4)) == {"conv": 2}
