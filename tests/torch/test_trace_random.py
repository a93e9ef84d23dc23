"""Random small networks, with residuals, concats, shared modules and odd sizes: the graph computes what torch does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_weights import check_traced, shake_batch_norms
from torch import nn

from tests import sweep

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.ELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.GELU, nn.LeakyReLU)
KINDS = ("conv", "conv", "again", "norm", "activation", "activation", "add", "add", "concat", "pool", "resize", "pad")


class RandomNet(nn.Module):
    """Runs `plan`, a list of (kind, two numbers to choose by, a settings number), over all tensors made so far."""

    def __init__(self, shape, plan, outputs):
        super().__init__()
        self.parts = nn.ModuleList()
        self.steps = []
        self.sizes = [shape]
        for kind, first, second, setting in plan:
            self._plan(kind, first % len(self.sizes), second, setting)
        self.outputs = sorted({index % len(self.sizes) for index in outputs})

    def _plan(self, kind, at, second, setting):  # noqa: C901  a branch for each operation
        channels, height, width = self.sizes[at]
        function, sources = None, [at]
        if kind == "conv":
            function = self._conv(channels, setting)
        elif kind == "again":
            same = [part for part in self.parts if getattr(part, "in_channels", None) == channels]
            function = same[second % len(same)] if same else None
        elif kind == "norm":
            function = self._keep(nn.BatchNorm2d(channels))
        elif kind == "activation":
            function = self._keep(ACTIVATIONS[setting % len(ACTIVATIONS)]())
        elif kind == "add":
            mates = [index for index, size in enumerate(self.sizes) if size == self.sizes[at]]
            sources, function = [at, mates[second % len(mates)]], torch.add
        elif kind == "concat" and channels < 12:
            mates = [index for index, size in enumerate(self.sizes) if size[1:] == (height, width)]
            sources, function = [at, mates[second % len(mates)]], lambda a, b: torch.cat([a, b], 1)
        elif kind == "pool" and min(height, width) > 3:
            function = (nn.MaxPool2d, nn.AvgPool2d)[setting % 2](2 + setting // 2 % 2, 1 + setting // 4 % 2, 1)
        elif kind == "resize" and max(height, width) < 12:
            mode = ("nearest", "bilinear")[setting % 2]
            function = nn.Upsample(scale_factor=2, mode=mode)
        elif kind == "pad" and max(height, width) < 24:
            amounts = [setting % 2, setting // 2 % 2, setting // 4 % 3, setting // 12 % 2]
            function = lambda x: F.pad(x, amounts)  # noqa: E731
        if function is None:
            return
        try:
            made = function(*(torch.zeros(1, *self.sizes[index]) for index in sources))
        except RuntimeError:  # a kernel larger than what is left of the plane
            return
        self.steps.append((function, sources))
        self.sizes.append(tuple(made.shape[1:]))

    def _keep(self, part):
        self.parts.append(part.eval())
        return part

    def _conv(self, channels, setting):
        kernel, stride, dilation = 1 + setting % 4, 1 + setting // 4 % 2, 1 + setting // 8 % 2
        outputs = channels * (1 + setting // 16 % 2) if setting // 32 % 2 else 1 + setting % 7
        groups = channels if outputs % channels == 0 else 1
        padding = "same" if stride == 1 and setting % 3 else setting % 3
        part = nn.Conv2d(
            channels, outputs, kernel, stride, padding, dilation, groups=groups, bias=bool(setting // 64 % 2)
        )
        return self._keep(part)

    def forward(self, x):
        tensors = [x]
        for function, sources in self.steps:
            tensors.append(function(*(tensors[index] for index in sources)))
        return [tensors[index] for index in self.outputs]


step = st.tuples(st.sampled_from(KINDS), st.integers(0, 50), st.integers(0, 50), st.integers(0, 127))


@pytest.mark.slow
@settings(max_examples=sweep.examples(60), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(4, 11), st.integers(4, 11)),
    plan=st.lists(step, min_size=3, max_size=14),
    outputs=st.lists(st.integers(0, 50), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_trace_of_random_networks_computes_what_torch_does(shape, plan, outputs, seed):
    torch.manual_seed(seed)
    net = shake_batch_norms(RandomNet(shape, plan, outputs), seed)
    check_traced(net, shape, tolerance=1e-9)
