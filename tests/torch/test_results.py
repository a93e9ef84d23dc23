"""What a module returns: nesting, views of maps, constants, cuts before what depends on data; and gathered refusals."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.exported import ProgramReader
from models.frontend.results.nesting import name_leaves
from models.frontend.trace import export, trace
from models.graph.reference import run_graph

SHAPE = (3, 6, 10)
Pair = namedtuple("Pair", ("first", "second"))


@dataclass
class Answers:
    maps: Any
    more: Any = None


class Network(nn.Module):
    """Two convolutions, and `end` on what they make."""

    def __init__(self, end):
        super().__init__()
        self.heat, self.field, self.end = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 6, 1), end

    def forward(self, x):
        return self.end(self.heat(x), self.field(x))


ENDS = {
    "dictionary": (lambda heat, field: {"b": heat, "a": [field, None]}, ("b", "a.0")),
    "dataclass": (
        lambda heat, field: Answers(Pair(heat, field), {"x": (heat,)}),
        ("maps.first", "maps.second", "more.x.0"),
    ),
    "model output": (lambda heat, field: OrderedDict(logits=heat, hidden=None), ("logits",)),
    "vector": (
        lambda heat, field: (heat.flatten(1), field.mean((2, 3), keepdim=True).squeeze()),
        ("output_0", "output_1"),
    ),
    "tokens": (lambda heat, field: heat.flatten(2).transpose(1, 2), ("output_0",)),
    "five dimensions": (lambda heat, field: field.view(1, 2, 3, 6, 10).permute(0, 3, 4, 1, 2), ("output_0",)),
    "channels last": (lambda heat, field: {"maps": heat.movedim(1, -1).contiguous()}, ("maps",)),
    "unsqueezed": (lambda heat, field: heat[:, None].squeeze(0), ("output_0",)),
    "numbers": (lambda heat, field: (heat, 3, "text", None), ("output_0", "output_1")),
}


@pytest.mark.parametrize(("end", "names"), ENDS.values(), ids=list(ENDS))
def test_trace_takes_outputs_however_nested_and_viewed(end, names):
    torch.manual_seed(0)
    network = Network(end).double().eval()
    x = torch.randn(1, *SHAPE, dtype=torch.float64)
    graph = trace(network, SHAPE, dtype=np.float64)
    restored = graph.answer.restore(run_graph(graph, x.numpy()))
    with torch.no_grad():
        expected = {name: leaf for name, leaf in name_leaves(network(x)).items() if not isinstance(leaf, str | None)}
    assert tuple(restored) == tuple(expected) == names
    for name, leaf in expected.items():
        assert restored[name].shape == tuple(getattr(leaf, "shape", ()))
        np.testing.assert_allclose(restored[name], leaf, atol=1e-10)


def test_trace_leaves_no_hook_behind():
    network = Network(lambda heat, field: Answers(heat))
    trace(network, SHAPE)
    assert isinstance(network(torch.zeros(1, *SHAPE)), Answers)


def test_constants_among_outputs_are_kept():
    network = Network(lambda heat, field: None)
    network.end = lambda heat, field: {"heat": heat, "scale": network.heat.bias}
    graph = trace(network, SHAPE)
    assert graph.outputs == ("heat",)
    np.testing.assert_allclose(graph.answer.fixed[0].value, network.heat.bias.detach())


def decode_peaks(heat, field):
    """CenterNet's: peaks of a heatmap by max pooling, the best of them, and what a field says there."""
    heat = torch.sigmoid(heat)
    peaks = heat * (F.max_pool2d(heat, 3, 1, 1) == heat).float()
    scores, places = torch.topk(peaks.view(1, -1), 5)
    return {"scores": scores, "values": field.flatten(2)[:, :, places[0] % 60]}


CUTS = {
    "peaks": (decode_peaks, "eq", ("field", "heat"), ("scores", "values")),
    "argmax": (lambda heat, field: (field, heat.flatten(2).argmax(2)), "argmax", ("output_0", "heat"), ("output_1",)),
    "best channel": (lambda heat, field: torch.max(heat, 1), "max", ("heat",), ("output_0", "output_1")),
    "largest alone": (lambda heat, field: torch.topk(heat, 2, 1).values, "topk", ("heat",), ("output_0",)),
    "truths": (
        lambda heat, field: (torch.where(heat > 0, heat, 0) + 1, heat > 0.5),
        "gt",
        ("heat",),
        ("output_0", "output_1"),
    ),
    "large values": (
        lambda heat, field: (heat * (heat > 0.5)).flatten(1).topk(3).values,
        "gt",
        ("heat",),
        ("output_0",),
    ),
}


@pytest.mark.parametrize(("end", "op", "names", "lost"), CUTS.values(), ids=list(CUTS))
def test_the_network_is_cut_before_what_depends_on_data(end, op, names, lost):
    graph = trace(Network(end), SHAPE)
    (cut,) = graph.answer.cuts
    assert (cut.op, cut.module, cut.lost, graph.answer.names) == (op, "", lost, names)
    assert cut.given == tuple(name for name in names if not name.startswith("output"))
    assert cut.line.startswith("test_results.py:")
    assert f"cut before '{op}' in the root module (test_results.py:" in str(cut)


ASKS = {
    "branch": (lambda heat, field: field if heat.max() > 0 else heat, "bool", ("heat", "field")),
    "loop": (lambda heat, field: [field[0, 0, i] for i in range(int((heat > 0).sum()))], "int", ("heat", "field")),
    "numpy": (lambda heat, field: (heat.cpu().numpy(), field.tanh().tolist()), "numpy", ("heat", "field")),
    "list": (lambda heat, field: field.flatten().tolist(), "item", ("field",)),
    "points": (lambda heat, field: list(torch.nonzero(heat[0, 0] > 0.1)), "nonzero", ("heat", "field")),
}  # fmt: skip


@pytest.mark.parametrize(("end", "op", "names"), ASKS.values(), ids=list(ASKS))
def test_a_module_whose_python_depends_on_data_is_stopped_there(end, op, names):
    network = Network(end).double()
    graph = trace(network, SHAPE, dtype=np.float64)
    (cut,) = graph.answer.cuts
    assert set(graph.answer.names) >= set(names)
    assert (cut.op, cut.given, cut.lost) == (op, graph.answer.names, ("what the module returns",))
    assert cut.line.startswith("test_results.py:")
    x = torch.randn(1, *SHAPE, dtype=torch.float64)
    ours = graph.answer.restore(run_graph(graph, x.numpy()))
    with torch.no_grad():
        for name in names:
            np.testing.assert_allclose(ours[name], getattr(network, name)(x), atol=1e-10)
    assert "forward" not in vars(network)


def test_a_module_whose_python_depends_on_data_before_its_layers_is_refused_with_the_line():
    network = Network(lambda heat, field: None)
    network.forward = lambda x: network.heat(x) if x.max() > 0 else network.field(x)
    message = r"torch.export cannot trace Network at \(3, 6, 10\) \(test_results.py:\d+\): "
    with pytest.raises(UsageError, match=message):
        trace(network, SHAPE)


class AsksItsWeights(nn.Module):
    """Branches and loops by numbers of its own weights, as PP-YOLOE+ does."""

    def __init__(self):
        super().__init__()
        self.conv, self.alpha = nn.Conv2d(3, 4, 3), nn.Parameter(torch.tensor(0.5))
        self.register_buffer("times", torch.tensor(2))

    def forward(self, x):
        y = self.conv(x)
        if self.alpha:
            y = y + self.alpha * y.abs()
        for _ in range(int(self.times)):
            y = torch.relu(y * self.times.item())
        return y


def test_python_may_depend_on_numbers_of_weights():
    network = AsksItsWeights().eval()
    graph = trace(network, SHAPE, dtype=np.float64)
    assert not graph.answer.cuts
    x = torch.randn(1, *SHAPE, dtype=torch.float64)
    with torch.no_grad():
        expected = network.double()(x).numpy()
    np.testing.assert_allclose(run_graph(graph, x.numpy())[0], expected, atol=1e-10)
    assert "forward" not in vars(network)


class Largest(nn.Module):
    """A decoder as a module of its own, that looks at each map's largest value in Python."""

    def forward(self, heat):
        best = heat.flatten(2).max(2)
        shifted = [
            value + heat[0, joint].mean()
            for joint, (value, place) in enumerate(zip(best.values[0], best.indices[0], strict=True))
            if int(place) > 3
        ]
        return torch.stack(shifted)


def test_a_module_is_stopped_inside_a_part_of_it():
    class Decoded(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.decoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)), Largest()

        def forward(self, x):
            return {"points": self.decoder(self.body(x))}

    network = Decoded().double()
    graph = trace(network, SHAPE, dtype=np.float64)
    (cut,) = graph.answer.cuts
    assert cut.op == "int"
    assert cut.given == ("body.2",)
    x = torch.randn(1, *SHAPE, dtype=torch.float64)
    ours = graph.answer.restore(run_graph(graph, x.numpy()))
    with torch.no_grad():
        np.testing.assert_allclose(ours["body.2"], network.body(x), atol=1e-10)


def test_layers_after_what_depends_on_data_are_refused():
    network = Network(lambda heat, field: None)
    network.end = lambda heat, field: network.heat(field[:, :3] * field.argmax(1))
    with pytest.raises(
        UsageError, match=r"'argmax' in the root module \(.*\): it depends on the data, and 'conv2d' in module 'heat'"
    ):
        trace(network, SHAPE)


def test_truths_that_layers_follow_are_layers_and_what_else_depends_on_data_is_cut():
    network = Network(lambda heat, field: None)
    network.end = lambda heat, field: network.heat((field[:, :3] > 0).to(field.dtype)).flatten(1).topk(4).values
    graph = trace(network, SHAPE)
    (cut,) = graph.answer.cuts
    assert (cut.op, cut.given) == ("topk", ("heat",))


def test_refusals_are_gathered_with_their_lines():
    def end(heat, field):
        heat = torch.erfinv(heat)
        return torch.relu(heat), torch.lgamma(field)

    reader = ProgramReader(export(Network(end), SHAPE), gather=True)
    network = reader.network()
    assert [refusal.op for refusal in reader.refusals] == ["erfinv", "lgamma"]
    assert all(refusal.origin.line.startswith("test_results.py:") for refusal in reader.refusals)
    assert [draft.op for draft in network.drafts] == ["conv", "conv", "unsupported", "elementwise", "unsupported"]
