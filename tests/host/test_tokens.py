"""Networks of tokens on this machine's OpenCL, and operators at odd shapes, against float64 PyTorch."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests import sweep
from tests.host.network_check import check_network
from tests.small_network import Fn
from tests.token_networks import NETWORKS, shake


@sweep.part(3)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_tokens_equal_pytorch_on_the_device(host, tmp_path, name):
    network, shape = NETWORKS[name]
    check_network(host, shake(network), shape, tmp_path)


def attend(self, x):
    """Odd numbers of tokens and heads; a mask; vectors made of maps."""
    y = x.flatten(2).transpose(1, 2)
    q, k, v = (z.unflatten(2, (3, 5)).transpose(1, 2) for z in self.qkv(self.norm(y)).chunk(3, -1))
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    square = torch.softmax(x @ x.transpose(2, 3), -1) @ x
    return self.proj(z) + y, self.flat(x.flatten(1)), square, y.mean(1), x.flatten(2).softmax(-1)


@pytest.mark.parametrize("size", [(1, 3), (5, 7), (6, 17)], ids=str)
def test_operators_of_tokens_equal_pytorch_on_the_device(host, tmp_path, size):
    torch.manual_seed(0)
    parts = {"qkv": nn.Linear(7, 45), "norm": nn.LayerNorm(7), "proj": nn.Linear(15, 7)}
    module = Fn(attend, **parts, flat=nn.Linear(7 * size[0] * size[1], 9))
    check_network(host, shake(module), (7, *size), tmp_path)
