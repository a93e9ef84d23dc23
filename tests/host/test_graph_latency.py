"""The function that measures a graph, as models.depth and models.replace are given it."""

import torch
from torch import nn

from codegen.graph_latency import measured_latency
from models.trace import trace


def graph_of(width: int):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
    return trace(network.eval(), (3, 48, 48), f"width {width}")


def test_more_work_takes_longer(host):
    latency_of = measured_latency(host, repeats=5)
    narrow, wide = latency_of(graph_of(8)), latency_of(graph_of(128))
    assert narrow > 0
    assert wide > 3 * narrow, "256 times the multiply-adds in the second layer"
