"""torch's pools, resizes and pads of every kind -> Graph, in float64 against torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_weights import check_traced
from torch import nn

from tests import sweep
from tests.small_network import Fn

POOLS = {
    "ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "ceil, padded": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "average, ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "average, ceil, elements alone": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "divisor": lambda x: F.avg_pool2d(x, (2, 3), divisor_override=5),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (5, 3)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (7, 4)),
    "adaptive up": lambda x: F.adaptive_avg_pool2d(x, (20, 3)),
    "area": lambda x: F.interpolate(x, size=(5, 4), mode="area"),
    "mean of rows": lambda x: x.mean(2, keepdim=True),
    "mean of planes": lambda x: x.mean((-1, -2), keepdim=True),
    "maximum of planes": lambda x: x.amax((2, 3), keepdim=True),
    "window of all": lambda x: F.avg_pool2d(x, x.shape[2:]),
}


@pytest.mark.parametrize("name", POOLS)
def test_trace_takes_pools_of_every_kind(name):
    check_traced(Fn(lambda s, x: POOLS[name](s.c(x)), c=nn.Conv2d(4, 3, 1)), (4, 13, 10))


RESIZES = {
    "bicubic": lambda x: F.interpolate(x, size=(17, 7), mode="bicubic"),
    "bicubic corners": lambda x: F.interpolate(x, size=(17, 7), mode="bicubic", align_corners=True),
    "exact": lambda x: F.interpolate(x, size=(17, 7), mode="nearest-exact"),
    "scale 1.5": lambda x: F.interpolate(x, scale_factor=1.5),
    "scale 1.3 bilinear": lambda x: F.interpolate(x, scale_factor=(1.3, 0.7), mode="bilinear"),
    "scale 1.3 bicubic": lambda x: F.interpolate(x, scale_factor=(0.6, 2.3), mode="bicubic"),
    "scale 1.7 exact": lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"),
    "scale 1.7, recomputed": lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
    "scale 1.7 corners": lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", align_corners=True),
    "antialias": lambda x: F.interpolate(x, size=(5, 4), mode="bilinear", antialias=True),
    "antialias up": lambda x: F.interpolate(x, size=(25, 4), mode="bilinear", antialias=True),
    "antialias bicubic": lambda x: F.interpolate(x, size=(5, 4), mode="bicubic", antialias=True),
}


@sweep.part(7)
@pytest.mark.parametrize("name", RESIZES)
def test_trace_takes_resizes_of_every_kind(name):
    check_traced(Fn(lambda s, x: torch.relu(RESIZES[name](s.c(x))), c=nn.Conv2d(4, 3, 1)), (4, 13, 10))


@pytest.mark.slow
@settings(
    max_examples=sweep.examples(40),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(data=st.data())
def test_trace_takes_random_resizes(data):
    extents = st.integers(1, 14)
    size, target = data.draw(st.tuples(extents, extents)), data.draw(st.tuples(extents, extents))
    mode = data.draw(st.sampled_from(["nearest-exact", "bilinear", "bicubic"]))
    corners = mode != "nearest-exact" and data.draw(st.booleans())
    more = {"align_corners": True} if corners else {}
    if mode != "nearest-exact" and not corners:
        more = {"antialias": data.draw(st.booleans())}
    check_traced(Fn(lambda _s, x: F.interpolate(x, size=target, mode=mode, **more)), (2, *size))


PADS = {
    "constant": lambda x: F.pad(x, (1, 2, 0, 3), value=1.5),
    "crop": lambda x: F.pad(x, (-1, 2, -2, -1)),
    "crop with ones": lambda x: F.pad(x, (-1, 2, 3, -1), value=1.0),
    "channels": lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
    "channels and rows": lambda x: F.pad(x, (0, 0, 1, 0, 0, 2)),
    "reflect": lambda x: F.pad(x, (1, 2, 3, 0), mode="reflect"),
    "replicate": lambda x: F.pad(x, (1, 2, 3, 0), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 2, 3, 0), mode="circular"),
    "lowest before a maximum": lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2),
    "lowest before a sum": lambda x: torch.relu(F.pad(x, (0, 1, 0, 1), value=-torch.inf)),
    "zeros before a maximum": lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2),
}


@pytest.mark.parametrize("name", PADS)
def test_trace_takes_pads_of_every_kind(name):
    graph = check_traced(Fn(lambda s, x: PADS[name](s.c(x)), c=nn.Conv2d(4, 3, 1)), (4, 13, 10))
    assert name != "lowest before a maximum" or [layer.op for layer in graph.layers] == ["conv", "max_pool"]


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_trace_takes_padding_modes_of_convolutions(mode):
    check_traced(nn.Conv2d(4, 5, 3, padding=(1, 2), padding_mode=mode), (4, 9, 8))
