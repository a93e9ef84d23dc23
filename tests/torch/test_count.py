"""Counting torch modules: against arithmetic by hand, functional calls, the folded graph."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.zoo.count import count


def test_count_columns_equal_those_by_hand():
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1)
    ).eval()
    found = count(module, (3, 10, 12))
    assert found.params == 3 * 8 * 9 + 2 * 8 + 8 * 6 + 6
    assert found.macs == (3 * 9 * 8 + 8 * 6) * 30
    assert found.macs_bn == found.macs + 2 * 8 * 30 + 6 * 30
    assert [conv.module for conv in found.convs] == ["0", "3"]
    assert [conv.bias for conv in found.convs] == [False, True]


def test_count_leaves_the_module_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    count(module, (3, 8, 8))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Functional(nn.Module):
    """A convolution that is no Conv2d, called twice with one weight; grouped, uneven; the batch norm inlined."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 2, 3, 1))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("variance", torch.ones(4))

    def forward(self, x):
        for _ in range(2):
            x = F.batch_norm(F.conv2d(x, self.weight, None, 1, (1, 0), 1, 2), self.mean, self.variance)
        return x


def test_count_sees_calls_that_are_no_module():
    found = count(Functional().eval(), (4, 5, 7))
    assert found.params == 24
    assert [(conv.kernel, conv.padding, conv.groups) for conv in found.convs] == [((3, 1), (1, 0), 2)] * 2
    assert found.macs == 2 * 24 * 35
    assert found.macs_bn == found.macs + 2 * 2 * 4 * 35
    assert found.macs == trace(Functional(), (4, 5, 7)).macs


def test_count_takes_training_mode_and_half_precision():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert count(module.train(), (3, 8, 8)) == count(module.eval(), (3, 8, 8))


@pytest.mark.parametrize("module", [nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3))])
def test_count_refuses_what_it_cannot_count(module):
    with pytest.raises(UsageError, match="only 2-D convolutions"):
        count(module, (3, 8, 8))


def test_count_of_a_transposed_convolution_is_by_its_input():
    (conv,) = count(nn.ConvTranspose2d(3, 4, (4, 2), 2), (3, 5, 6)).convs
    assert conv.transposed
    assert conv.macs == 3 * 5 * 6 * 4 * 8
