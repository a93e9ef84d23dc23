"""Tensors of other rank than four -> layers: linear, products, attention, norms of tokens; in float64 against torch."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from random_weights import check_traced
from torch import nn

from models.frontend.trace import trace
from tests import sweep
from tests.small_network import Fn
from tests.token_networks import NETWORKS, shake

SHAPE = (6, 4, 5)


def tokens(x):
    return x.flatten(2).transpose(1, 2)


def check(forward, shape=SHAPE, **parts):
    """The ops of the layers that a module becomes, which must compute what it does."""
    graph = check_traced(shake(Fn(forward, **parts)), shape)
    return Counter(layer.op for layer in graph.layers)


@sweep.part(4)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_tokens_equal_torch(name):
    network, shape = NETWORKS[name]
    check_traced(shake(network), shape)


def test_attention_is_two_products_and_a_softmax_and_moves_nothing():
    """From tokens on, whatever the heads: queries, keys and values are read where the linear layer left them."""
    network, shape = NETWORKS["ViTPose"]
    ops = Counter(layer.op for layer in trace(network, shape).layers)
    assert ops["matmul"] == 4
    assert ops["softmax"] == 2
    assert ops["rearrange"] == 2  # map to tokens and back


LINEAR = {
    "tokens": lambda s, x: s.linear(tokens(x)),
    "channels last": lambda s, x: s.linear(x.permute(0, 2, 3, 1)),
    "rows": lambda s, x: s.rows(x),
    "vector": lambda s, x: s.flat(x.flatten(1)),
    "turned vector": lambda s, x: s.flat(x.permute(0, 2, 3, 1).flatten(1)),
    "pooled": lambda s, x: s.linear(x.mean((2, 3))),
    "pooled, flattened": lambda s, x: s.linear(F.adaptive_avg_pool2d(x, 1).flatten(1)),
    "two in a row": lambda s, x: s.last(torch.relu(s.linear(tokens(x)))),
    "a slice of tokens": lambda s, x: s.linear(tokens(x)[:, 3:9]),
    "matrix on the right": lambda s, x: tokens(x) @ s.linear.weight.t(),
    "matrix on the left": lambda s, x: s.linear.weight @ x.flatten(2),
    "addmm": lambda s, x: torch.addmm(s.linear.bias, tokens(x)[0], s.linear.weight.t()),
    "conv1d": lambda s, x: s.conv(x.flatten(2)),
    "conv1d, strided": lambda s, x: F.conv1d(x.flatten(2), s.conv.weight, stride=2, padding=3, dilation=2),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_layers_are_convolutions(name):
    parts = {"linear": nn.Linear(6, 9), "last": nn.Linear(9, 4), "rows": nn.Linear(5, 3), "flat": nn.Linear(120, 7)}
    ops = check(LINEAR[name], **parts, conv=nn.Conv1d(6, 5, 3, padding=1))
    assert set(ops) <= {"conv", "rearrange", "avg_pool"}


PRODUCTS = {
    "gram": lambda _, x: tokens(x) @ x.flatten(2),
    "gram of channels": lambda _, x: x.flatten(2) @ tokens(x),
    "maps as matrices": lambda _, x: x @ x.transpose(2, 3),
    "bmm": lambda _, x: torch.bmm(x[0], x[0].transpose(1, 2)),
    "baddbmm": lambda s, x: torch.baddbmm(s.square, x[0], x[0].transpose(1, 2), alpha=0.5),
    "baddbmm of tensors": lambda _, x: torch.baddbmm(x[0][:, :, :4], x[0], x[0].transpose(1, 2), beta=2),
    "a batch shared": lambda _, x: x @ x[:, :1].transpose(2, 3),
    "matrix and vector": lambda _, x: x[0] @ x[0, 0, 0],
    "vectors": lambda _, x: (x[0, :, 0, 0] @ x[0, :, 0, 1]).reshape(1, 1),
    "einsum, attention": lambda _, x: torch.einsum("bchw,bdhw->bcd", x, x),
    "einsum, sums of products": lambda _, x: torch.einsum("bchw,bchw->bc", x, x),
    "einsum, permuted": lambda _, x: torch.einsum("bchw->bhwc", x),
    "einsum, a constant": lambda s, x: torch.einsum("bchw,cd->bdhw", x, s.matrix),
    "einsum, outer": lambda _, x: torch.einsum("bc,bd->bcd", x[:, :, 0, 0], x[:, :, 0, 1]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_equal_torch(name):
    parts = {"matrix": nn.Parameter(torch.randn(6, 3)), "square": nn.Parameter(torch.randn(6, 4, 4))}
    check(PRODUCTS[name], **parts)


def heads(x, count=2):
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


ATTENTION = {
    "plain": {},
    "causal": {"is_causal": True},
    "scaled": {"scale": 0.3},
    "a constant mask": {},
    "a boolean mask": {"attn_mask": torch.rand(2, 20, 20) > 0.3},
}


@pytest.mark.parametrize("name", ATTENTION)
def test_scaled_dot_product_attention_equals_torch(name):
    settings = ATTENTION[name]

    def forward(s, x):
        q, k, v = s.qkv(tokens(x)).chunk(3, dim=-1)
        mask = {"attn_mask": s.mask} if name == "a constant mask" else settings
        return F.scaled_dot_product_attention(heads(q), heads(k), heads(v), **mask).transpose(1, 2).flatten(2)

    check(forward, qkv=nn.Linear(6, 24), mask=nn.Parameter(torch.randn(20, 20)))


def test_attention_of_tokens_to_others_equals_torch():
    def forward(s, x):
        return s.attention(tokens(x)[:, :7], tokens(x), tokens(x), need_weights=False)[0]

    check(forward, attention=nn.MultiheadAttention(6, 3, batch_first=True))


REDUCTIONS = {
    "layer norm of tokens": lambda s, x: s.norm(tokens(x)),
    "layer norm, channels last": lambda s, x: s.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "group norm of tokens": lambda s, x: s.groups(x.flatten(2)),
    "batch norm of tokens": lambda s, x: s.batch(x.flatten(2)),
    "batch norm of a vector": lambda s, x: s.batch(x.mean((2, 3))),
    "instance norm of tokens": lambda _, x: F.instance_norm(x.flatten(2)),
    "softmax of space": lambda _, x: x.flatten(2).softmax(-1).view(x.shape),
    "softmax of tokens": lambda _, x: tokens(x).softmax(1),
    "softmax of radices": lambda _, x: x.view(1, 2, 3, 4, 5).softmax(1).sum(1),
    "mean of tokens": lambda _, x: tokens(x).mean(1),
    "max of all": lambda _, x: x.flatten(1).max(1)[0],
    "soft argmax": lambda s, x: (x.flatten(2).softmax(-1) * s.places).sum(-1),
    "normalize": lambda _, x: F.normalize(tokens(x), dim=-1),
    "deviation of channels": lambda _, x: tokens(x).std(-1, keepdim=True),
    "channels in blocks": lambda _, x: x.view(1, 3, 2, 4, 5).mean(2),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_any_rank_equal_torch(name):
    parts = {"norm": nn.LayerNorm(6), "groups": nn.GroupNorm(2, 6), "batch": nn.BatchNorm1d(6)}
    check(REDUCTIONS[name], **parts, places=nn.Parameter(torch.randn(20)))


JOINS = {
    "tokens": lambda _, x: torch.cat([tokens(x), tokens(x)[:, :3]], 1),
    "features of tokens": lambda _, x: torch.cat([tokens(x), tokens(x) * 2], -1),
    "rows": lambda _, x: torch.cat([x, x[:, :, :2]], 2),
    "columns": lambda s, x: torch.cat([x, s.column.expand(1, 6, 4, 1)], 3),
    "channels last": lambda _, x: torch.cat([x.permute(0, 2, 3, 1)[:, ::2], x.permute(0, 2, 3, 1)[:, 1::2]], -1),
    "a token": lambda s, x: torch.cat([s.token.expand(1, -1, -1), tokens(x)], 1),
    "stacked": lambda _, x: torch.stack([x, x * 2, x], 1),
    "stacked at the end": lambda _, x: torch.stack([x[:, 0], x[:, 1]], -1),
    "batches": lambda _, x: torch.cat([x[0], x[0, :2] * 3], 0),
}


@pytest.mark.parametrize("name", JOINS)
def test_joins_of_any_axis_equal_torch(name):
    parts = {"token": nn.Parameter(torch.randn(1, 1, 6)), "column": nn.Parameter(torch.randn(1, 6, 4, 1))}
    check(JOINS[name], **parts)


def test_product_with_a_tensor_of_weights_falls_back():
    graph = trace(Fn(lambda _, x: torch.einsum("bchw,bc->bh", x, x[..., 0, 0])), SHAPE)
    assert [layer.foreign.name for layer in graph.layers if layer.foreign] == ["einsum"]
