"""Networks of arithmetic on this machine's OpenCL: gates, constants and broadcasts, against float64 PyTorch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import tvm
from torch import nn
from tvm.runtime.vm import VirtualMachine

from codegen.linking.link import export_shared
from codegen.lowering.network import Options, lower_network
from codegen.lowering.target import make_target
from models.frontend.trace import trace
from tests import sweep
from tests.small_network import Fn


def conv(channels: int, out: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2)


def squeeze_excite(self, x):
    y = F.silu(self.a(x))
    return self.b(y * torch.sigmoid(self.up(F.silu(self.down(F.adaptive_avg_pool2d(y, 1))))))


def constants(self, x):
    """Numbers by channel, by place and of full shape, in sums, products and a join."""
    y = self.a((x / 255 - self.mean) / self.deviation)
    z = F.relu(y) * self.scale + self.places
    joined = self.joined(torch.cat([z, self.places.expand(1, 2, -1, -1), x], 1))
    return torch.maximum(z, joined) / (1 + y.abs()), self.table - joined


def every_step(self, x):
    y = self.a(x)
    gate = torch.sigmoid(self.one(x))
    z = torch.minimum(F.mish(y) * gate, F.prelu(y, self.slope) - gate.mean((2, 3), keepdim=True))
    return F.softplus(z) / (1 + torch.exp(-y)), torch.tanh(z) ** 2, F.selu(y) * 2 - F.gelu(z, approximate="tanh")


def truths(self, x):
    """Each comparison, and choices by what it makes; peaks kept, as CenterNet keeps them."""
    y = self.a(x)
    heat, mask = torch.sigmoid(y), (self.one(x) > 0.1) | (y.mean(1, keepdim=True) <= -0.2)
    z = torch.where(mask & (y >= -1), y, self.slope[:, None, None] * y)
    kept = heat * (F.max_pool2d(heat, 3, 1, 1) == heat)
    return self.b(z.masked_fill(~(y < 1), -3.0)), kept, F.hardshrink(z, 0.3) * (heat != 0.5)


NETWORKS = {"squeeze-excite": squeeze_excite, "constants": constants, "every step": every_step, "truths": truths}


def build(name: str, size: tuple[int, int]) -> nn.Module:
    torch.manual_seed(0)
    parts = {"a": conv(3, 9), "b": conv(9, 5, 1), "down": conv(9, 2, 1), "up": conv(2, 9, 1), "one": conv(3, 1)}
    module = Fn(NETWORKS[name], **parts, joined=conv(14, 9))
    module.mean, module.deviation = (nn.Parameter(torch.rand(3, 1, 1) + 0.5) for _ in range(2))
    module.scale, module.slope = nn.Parameter(torch.randn(9, 1, 1)), nn.Parameter(torch.randn(9))
    module.places, module.table = nn.Parameter(torch.randn(1, *size)), nn.Parameter(torch.randn(9, *size))
    return module.eval()


@sweep.part(2)
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "beside"])
@pytest.mark.parametrize("size", [(9, 20), (16, 31)], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_arithmetic_equal_pytorch(host, tmp_path, name, size, inside):
    module = build(name, size)
    graph = trace(module, (3, *size), "arithmetic")
    lowered = lower_network([graph], host.profile, Options(weights_inside=inside))
    export_shared(tvm.compile(lowered.module, make_target(host.profile)), tmp_path / "network.so")
    machine = VirtualMachine(host.load(tmp_path / "network.so"), host.device)
    picture = np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)
    parameters = [tvm.runtime.tensor(array, host.device) for array in lowered.parameters.values()]
    machine.set_input(lowered.entries[0].name, tvm.runtime.tensor(picture, host.device), *parameters)
    machine.invoke_stateful(lowered.entries[0].name)
    outputs = machine.get_outputs(lowered.entries[0].name)
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(picture).double())
    pairs = [(outputs, expected)] if isinstance(expected, torch.Tensor) else zip(outputs, expected, strict=True)
    for ours, theirs in pairs:
        error = np.abs(ours.numpy() - theirs.numpy()).max()
        assert error <= 1e-4 * theirs.abs().max().item()
