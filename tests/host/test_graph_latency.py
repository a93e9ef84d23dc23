"""The function that measures a graph, as models.depth and models.replace are given it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from codegen.graph_latency import measured_latency
from devices.timers import ModuleTimer, TimeSample
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.layer import Step


def graph_of(width: int):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
    return trace(network.eval(), (3, 48, 48), f"width {width}")


def test_graph_latency_is_timed(host):
    assert 0 < measured_latency(host, repeats=3)(graph_of(8)) < 60


def test_graphs_are_timed_in_turn_with_the_first(host, monkeypatch):
    """A machine that is ten times as slow when the second graph is asked about does not make that graph slower."""
    latency_of = measured_latency(host, repeats=5)
    before = latency_of(graph_of(8))
    samples = ModuleTimer.samples

    def slow(timer, number, repeats):
        return [TimeSample(None, 10 * sample.wall_secs) for sample in samples(timer, number, repeats)]

    monkeypatch.setattr(ModuleTimer, "samples", slow)
    assert latency_of(graph_of(8)) < 4 * before


def test_graph_latency_says_what_cannot_run(host):
    graph = graph_of(8)
    last = replace(graph.layers[-1], op="concat", epilogue=(Step("relu"),))
    unknown = replace(graph, layers=(*graph.layers[:-1], last))
    with pytest.raises(UsageError, match="no schedule"):
        measured_latency(host)(unknown)
