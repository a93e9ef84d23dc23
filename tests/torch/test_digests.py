"""Digests that tell whether a network that is read anew is still the same."""

import torch
from torch import nn

from models.frontend.trace import trace
from models.zoo.weights import weights_digest


def made(inner: nn.Module, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), inner)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network.eval()


def structure(network: nn.Module) -> str:
    return trace(network, (3, 8, 8), "any").structure


def test_the_structure_says_nothing_of_weights():
    one = structure(made(nn.ReLU(), 1))
    assert one == structure(made(nn.ReLU(), 1)) == structure(made(nn.ReLU(), 2))
    assert one != structure(made(nn.ReLU6(), 1))


def test_weights_are_told_apart_by_values_and_names():
    one = made(nn.ReLU(), 1)
    assert weights_digest(one) == weights_digest(made(nn.ReLU(), 1))
    assert weights_digest(one) != weights_digest(made(nn.ReLU(), 2))
    assert weights_digest(one) != weights_digest(nn.ModuleDict({"other": one}))
