"""Norms, softmax and reductions of torch -> layers, each checked in float64 against torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_weights import check_traced
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from tests.small_network import Fn

SHAPE = (6, 7, 10)


def shake(module: nn.Module) -> nn.Module:
    """The module with random parameters and statistics."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5) if name.endswith("var") else buffer.normal_()
    return module


NORMS = {
    "group": nn.GroupNorm(3, 6),
    "group, plain": nn.GroupNorm(2, 6, affine=False),
    "one group": nn.GroupNorm(1, 6),
    "instance": nn.InstanceNorm2d(6),
    "instance, affine": nn.InstanceNorm2d(6, affine=True),
    "instance, running": nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
    "batch, no statistics": nn.BatchNorm2d(6, track_running_stats=False),
    "layer of all": nn.LayerNorm(SHAPE),
    "layer of planes": nn.LayerNorm(SHAPE[1:]),
    "layer of rows": nn.LayerNorm(SHAPE[2:], bias=False),
    "layer, plain": nn.LayerNorm(SHAPE, elementwise_affine=False),
    "rms": nn.RMSNorm(SHAPE[1:], eps=1e-6),
}


@pytest.mark.parametrize("name", NORMS)
def test_trace_makes_one_layer_of_a_norm(name):
    graph = check_traced(shake(nn.Sequential(NORMS[name], nn.ReLU())), SHAPE)
    assert len(graph.layers) == 1


FUNCTIONS = {
    "layer_norm over the tensor's own shape": lambda _, x: F.layer_norm(x, x.shape[1:]),
    "softmax of channels": lambda _, x: x.softmax(1),
    "softmax of rows": lambda _, x: F.softmax(x, dim=-1),
    "softmax of columns": lambda _, x: x.softmax(2),
    "log softmax": lambda _, x: F.log_softmax(x, 1),
    "mean of channels": lambda _, x: x.mean(1, keepdim=True),
    "mean of planes": lambda _, x: x.mean((2, 3), keepdim=True),
    "mean of rows": lambda _, x: x.mean(-1, keepdim=True),
    "sum": lambda _, x: x.sum((1, 2, 3), keepdim=True),
    "amax": lambda _, x: x.amax((2, 3), keepdim=True),
    "amin": lambda _, x: x.amin(1, keepdim=True),
    "max of channels": lambda _, x: x.max(1, keepdim=True)[0],
    "variance": lambda _, x: x.var(1, keepdim=True),
    "variance, biased": lambda _, x: x.var((2, 3), keepdim=True, unbiased=False),
    "deviation": lambda _, x: x.std((2, 3), keepdim=True),
    "norm": lambda _, x: x.norm(dim=1, keepdim=True),
    "linalg norm of rows": lambda _, x: torch.linalg.norm(x, dim=-1, keepdim=True),
    "linalg norm of planes": lambda _, x: torch.linalg.norm(x, dim=(2, 3), keepdim=True),
    "linalg norm of order 1": lambda _, x: torch.linalg.norm(x, 1, dim=1, keepdim=True),
    "norm of order 1": lambda _, x: torch.linalg.vector_norm(x, 1, dim=(2, 3), keepdim=True),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_trace_takes_reductions(name):
    check_traced(Fn(FUNCTIONS[name]), SHAPE)


def test_trace_refuses_a_reduction_over_the_batch():
    with pytest.raises(UsageError, match="is the batch"):
        trace(Fn(lambda _, x: x.softmax(0)), SHAPE)


def test_trace_keeps_what_keeps_a_quotient_finite():
    """A written out norm: 1e-6 is no zero."""
    graph = check_traced(Fn(lambda _, x: torch.sqrt(x.mean(1, keepdim=True).pow(2) + 1e-6)), SHAPE)
    assert any(str(step) == "affine:1:1e-06" for layer in graph.layers for step in layer.epilogue)
