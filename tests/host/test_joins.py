"""Joins without copies, run for real: members that several joins, epilogues, outputs and the input's own plane want."""

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm.runtime.vm import VirtualMachine

from codegen.linking.link import export_shared
from codegen.lowering.network import lower_network
from codegen.lowering.target import make_target
from models.frontend.trace import trace
from tests import sweep
from tests.small_network import Fn


def conv(channels: int, out: int, kernel: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2)


def nested(self, x):
    a, b = torch.relu(self.a(x)), torch.relu(self.b(x))
    inner = torch.cat([a, b], 1)
    return self.last(torch.cat([torch.cat([inner, torch.relu(self.wide(a))], 1), b, self.wide(b), a], 1)), inner


def with_the_input(self, x):
    a = torch.relu(self.a(x))
    return self.seven(torch.cat([x, a], 1)), a


def stages(self, x):
    """As in OpenPose: each stage reads a join that its outputs are written into, beside the features all share."""
    features = torch.relu(self.a(x))
    heat, paf = self.wide(features), self.wide(features)
    for _ in range(2):
        joined = torch.cat([features, heat, paf], 1)
        heat, paf = torch.relu(self.twelve(joined)), self.twelve(joined) + features
    return heat, paf


def twice(self, x):
    a = torch.relu(self.a(x))
    return torch.relu(torch.cat([a, a], 1))


FORWARDS = {function.__name__: function for function in (nested, with_the_input, stages, twice)}


@sweep.part(2)
@pytest.mark.parametrize(("name", "size"), sweep.pairs(FORWARDS, [(9, 20), (16, 31)]), ids=str)
def test_joined_tensors_equal_pytorch(host, tmp_path, name, size):
    torch.manual_seed(0)
    parts = {"a": conv(3, 4), "b": conv(3, 4), "wide": conv(4, 4, 5), "last": conv(24, 3, 3), "seven": conv(7, 3, 3)}
    module = Fn(FORWARDS[name], **parts, twelve=conv(12, 4, 3)).eval()
    graph = trace(module, (3, *size), "joins")
    lowered = lower_network([graph], host.profile)
    export_shared(tvm.compile(lowered.module, make_target(host.profile)), tmp_path / "joins.so")
    machine = VirtualMachine(host.load(tmp_path / "joins.so"), host.device)
    tensor = np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)
    machine.set_input(lowered.entries[0].name, tvm.runtime.tensor(tensor, host.device))
    for _ in range(2):  # buffers are used again
        machine.invoke_stateful(lowered.entries[0].name)
        found = machine.get_outputs(lowered.entries[0].name)
        with torch.no_grad():
            expected = module.double()(torch.from_numpy(tensor).double())
        single = isinstance(expected, torch.Tensor)
        for ours, theirs in zip([found] if single else found, [expected] if single else expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-4)
        module.float()
