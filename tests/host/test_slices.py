"""Networks whose layers slice, shuffle and join, run for real: slices lie in their sources and stay what they were."""

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import tvm
from torch import nn
from tvm.runtime.vm import VirtualMachine

from codegen.layout.assign import assign_layout
from codegen.linking.link import export_shared
from codegen.lowering.network import lower_network
from codegen.lowering.target import make_target
from models.frontend.trace import trace
from models.graph.answer import apply_view
from tests import sweep
from tests.small_network import Fn


def conv(channels: int, out: int, kernel: int = 3, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups)


def shuffle(x):
    batch, channels, height, width = x.shape
    x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
    return x.view(batch, channels, height, width)


def halves(s, x):
    """As C2f in YOLOv8."""
    parts = list(F.silu(s.a(x)).chunk(2, 1))
    for _ in range(2):
        parts.append(torch.relu(s.four(parts[-1])) + parts[-1])
    return s.sixteen(torch.cat(parts, 1))


def shuffled_units(s, x):
    """As ShuffleNetV2: half of the channels passes by, then all are shuffled."""
    x = torch.relu(s.a(x))
    for _ in range(2):
        left, right = x.chunk(2, 1)
        x = shuffle(torch.cat([left, torch.relu(s.four(torch.relu(s.depthwise(right))))], 1))
    return x, s.eight(x)


def crossed(s, x):
    """Slices read by each other's layers, by joins, and given out."""
    features = s.a(x)
    first, second, third = features[:, :3], features[:, 3:6], features[:, 5:]
    joined = torch.cat([third, s.three(first), second], 1)
    return s.nine(joined) + first[:, :1], second, F.max_pool2d(first * second, 3, 1, 1)


def slices_of_the_input(s, x):
    red, others = x[:, :1], x[:, 1:]
    return s.one(red), torch.cat([others, s.one(red)], 1), F.avg_pool2d(others, 2)


def focus(s, x):
    """As the stem of YOLOX."""
    parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
    return torch.relu(s.twelve(torch.cat(parts, 1)))


def upsampled(s, x):
    """Sub-pixel convolution and back."""
    high = F.pixel_shuffle(s.a(x), 2)
    return torch.relu(s.two(high)), F.pixel_unshuffle(high, 2), high.flip(3).transpose(2, 3)


@sweep.part(4)
@pytest.mark.parametrize(
    "forward",
    [halves, shuffled_units, crossed, slices_of_the_input, focus, upsampled],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("size", [(10, 20), (8, 32)], ids=str)
def test_rearranging_networks_equal_pytorch(host, tmp_path, forward, size):
    torch.manual_seed(0)
    parts = {"a": conv(3, 8), "four": conv(4, 4), "depthwise": conv(4, 4, groups=4), "three": conv(3, 3)}
    parts |= {"one": conv(1, 2), "two": conv(2, 2), "twelve": conv(12, 5), "sixteen": conv(16, 5, 1)}
    module = Fn(forward, **parts, eight=conv(8, 3), nine=conv(9, 3)).eval()
    graph = trace(module, (3, *size), "moves")
    lowered = lower_network([graph], host.profile)
    export_shared(tvm.compile(lowered.module, make_target(host.profile)), tmp_path / "moves.so")
    machine = VirtualMachine(host.load(tmp_path / "moves.so"), host.device)
    tensor = np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)
    machine.set_input(lowered.entries[0].name, tvm.runtime.tensor(tensor, host.device))
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(tensor).double())
    expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
    for _ in range(2):  # buffers are used again
        machine.invoke_stateful(lowered.entries[0].name)
        outputs = machine.get_outputs(lowered.entries[0].name)
        outputs = [outputs] if len(expected) == 1 else list(outputs)
        views = graph.answer.views or ((),) * len(outputs)
        for ours, view, theirs in zip(outputs, views, expected, strict=True):
            np.testing.assert_allclose(apply_view(ours.numpy(), view), theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_slices_of_channels_launch_no_kernel():
    torch.manual_seed(0)
    parts = {"a": conv(3, 8), "four": conv(4, 4), "sixteen": conv(16, 5, 1)}
    graph = trace(Fn(halves, **parts).eval(), (3, 10, 20))
    layout = assign_layout(graph, 8)
    assert Counter(layer.op for layer in graph.layers)["rearrange"] == len(layout.slices) == 1
    join = next(layer for layer in graph.layers if layer.op == "concat")
    assert layout.copied[join.name] == ()
    assert {layout.buffers[name] for name in (*join.inputs, *layout.slices)} == {join.name}
