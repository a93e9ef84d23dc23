"""torch module -> Graph: hostile modules, one by one, each checked in float64 against torch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_weights import check_traced, check_well_formed, random_input, shake_batch_norms, torch_outputs
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.reference import run_graph
from tests import sweep
from tests.small_network import Fn


def conv(inputs=4, outputs=4, kernel=3, **settings):
    torch.manual_seed(inputs + 10 * outputs)
    return nn.Conv2d(inputs, outputs, kernel, **{"padding": "same", **settings})


def epilogues(graph):
    return [(layer.name, [str(step) for step in layer.epilogue]) for layer in graph.layers]


def ops(graph):
    return Counter(layer.op for layer in graph.layers)


@sweep.part(9)
@pytest.mark.parametrize(
    "settings",
    [
        {"kernel": 1},
        {"kernel": 2},
        {"kernel": (1, 7)},
        {"kernel": (5, 2), "dilation": (1, 3)},
        {"kernel": 3, "dilation": 2},
        {"kernel": 3, "stride": 2, "padding": 1},
        {"kernel": 3, "stride": (2, 3), "padding": (0, 2)},
        {"kernel": 3, "padding": "valid"},
        {"kernel": 7, "stride": 4, "padding": 5, "bias": False},
        {"kernel": 3, "groups": 4},
        {"kernel": 3, "groups": 2, "outputs": 6},
        {"kernel": 3, "groups": 4, "outputs": 12, "stride": 2, "padding": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", [False, True])
def test_trace_takes_convolutions_of_every_kind(settings, norm):
    one = conv(**settings)
    module = nn.Sequential(one, nn.BatchNorm2d(one.out_channels)) if norm else one
    graph = check_traced(shake_batch_norms(module), (4, 13, 18))
    # one column more at the right is no whole number of taps at dilation 3: that padding stays a layer
    assert ops(graph) == {"conv": 2 if one.dilation == (1, 3) else 1}
    assert graph.layers[-1].stride == one.stride


ACTIVATIONS = {
    "relu": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(inplace=True),
    "hardtanh:-1:0.5": nn.Hardtanh(-1, 0.5),
    "elu:0.7": nn.ELU(0.7, inplace=True),
    "silu": nn.SiLU(inplace=True),
    "hardswish": nn.Hardswish(),
    "hardsigmoid": nn.Hardsigmoid(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
    "leaky_relu:0.2": nn.LeakyReLU(0.2),
}


@pytest.mark.parametrize(("step", "activation"), ACTIVATIONS.items(), ids=list(ACTIVATIONS))
def test_trace_fuses_activations(step, activation):
    graph = check_traced(nn.Sequential(conv(), nn.Identity(), activation, nn.Dropout2d()), (4, 6, 5))
    assert epilogues(graph) == [("0", [step])]


@pytest.mark.parametrize(
    ("function", "steps"),
    [
        (lambda s, x: (y := s.c(x)) * torch.sigmoid(y), ["silu"]),
        (lambda s, x: torch.sigmoid(y := s.c(x)) * y, ["silu"]),
        (lambda s, x: (y := s.c(x)) * F.hardsigmoid(y), ["hardswish"]),
        (lambda s, x: s.c(x).clamp(min=0), ["relu"]),
        (lambda s, x: s.c(x).clamp_min(0.0), ["relu"]),
        (lambda s, x: s.c(x).clamp(0, 6), ["relu6"]),
        (lambda s, x: s.c(x).clamp_max(0.25), ["hardtanh:-3.40282e+38:0.25"]),
        (lambda s, x: F.relu(F.elu(s.c(x))), ["elu:1", "relu"]),
        (lambda s, x: F.dropout(s.c(x).contiguous(), training=False).relu_(), ["relu"]),
        (lambda s, x: s.c(x).to(x.dtype).clone().detach(), []),
    ],
)
def test_trace_recognises_activations_written_out(function, steps):
    graph = check_traced(Fn(function, c=conv()), (4, 6, 5))
    assert epilogues(graph) == [("c", steps)]


def test_add_before_activation_as_in_resnet():
    module = Fn(lambda s, x: F.relu(s.bn(s.b(F.relu(y := s.a(x)))) + y), a=conv(), b=conv(), bn=nn.BatchNorm2d(4))
    graph = check_traced(shake_batch_norms(module), (4, 7, 7))
    # `a` is read twice, so its relu stands alone; `b` takes batch norm, sum and relu
    assert epilogues(graph) == [("a", []), ("relu", ["relu"]), ("b", ["add", "relu"])]
    assert graph.layer("b").inputs == ("relu", "a")


def test_activation_before_add_as_in_lwop():
    graph = check_traced(Fn(lambda s, x: (y := F.relu(s.a(x))) + F.relu(s.b(y)), a=conv(), b=conv()), (4, 7, 7))
    assert epilogues(graph) == [("a", ["relu"]), ("b", ["relu", "add"])]


def test_a_sum_of_two_branches_joins_the_later():
    graph = check_traced(Fn(lambda s, x: s.b(x) + s.a(x), a=conv(), b=conv()), (4, 7, 7))
    assert epilogues(graph) == [("b", []), ("a", ["add"])]


def test_a_sum_joins_an_earlier_branch_if_the_later_is_read_elsewhere():
    module = Fn(lambda s, x: (s.a(x) + (y := s.b(x)), y), a=conv(), b=conv())
    graph = check_traced(module, (4, 7, 7))
    assert epilogues(graph) == [("b", []), ("a", ["add"])]
    assert graph.outputs == ("a", "b")


def test_trace_takes_sums_of_many_and_of_one_with_itself():
    def forward(s, x):
        y = s.a(x)
        z = y + y
        return F.relu(z + x + s.b(z)) + s.c(x)

    graph = check_traced(Fn(forward, a=conv(), b=conv(), c=conv()), (4, 5, 5))
    assert graph.layer("add").inputs == ("a", "a")
    assert graph.layer("c").epilogue[-1].kind == "add"


def test_a_sum_of_inputs_nothing_can_carry():
    graph = check_traced(Fn(lambda s, x: F.relu(torch.cat([x, x], 1) + torch.cat([s.c(x), x], 1)), c=conv()), (4, 6, 6))
    assert ops(graph) == {"conv": 1, "concat": 2, "elementwise": 1}
    assert [str(step) for step in graph.layer("add").epilogue] == ["add", "relu"]


def test_a_pool_carries_a_sum_where_no_convolution_does():
    graph = check_traced(Fn(lambda s, x: F.relu(F.max_pool2d(x, 2) + F.avg_pool2d(x, 2))), (4, 6, 6))
    assert epilogues(graph) == [("max_pool", []), ("avg_pool", ["add", "relu"])]
    graph = check_traced(Fn(lambda s, x: s.c(x) + F.avg_pool2d(x, 3, 1, 1), c=conv()), (4, 6, 6))
    assert graph.layers[-1].op == "conv"


def test_batch_norms_that_follow_no_convolution_become_depthwise():
    def forward(s, x):
        y = torch.cat([s.a(x), x], 1)
        return F.relu(s.n(y)), s.m(x)

    parts = {"a": conv(), "n": nn.BatchNorm2d(8), "m": nn.BatchNorm2d(4, affine=False)}
    graph = check_traced(shake_batch_norms(Fn(forward, **parts)), (4, 5, 6))
    for name in ("n", "m"):
        layer = graph.layer(name)
        assert (layer.op, layer.kernel, layer.groups, layer.bias) == ("conv", (1, 1), layer.out_shape[0], True)
    assert [str(step) for step in graph.layer("n").epilogue] == ["relu"]


def test_batch_norms_after_an_activation_or_a_sum_join_the_epilogue():
    parts = {"a": conv(), "b": conv(), "n": nn.BatchNorm2d(4), "m": nn.BatchNorm2d(4, affine=False)}
    module = Fn(lambda s, x: (s.n(F.relu(s.a(x))), s.m(x + s.b(x))), **parts)
    graph = check_traced(shake_batch_norms(module), (4, 5, 6))
    assert ops(graph) == {"conv": 2, "constant": 4}
    assert [str(step) for step in graph.layer("a").epilogue] == ["relu", "mul", "add"]


def test_a_convolution_read_before_its_batch_norm_keeps_its_own_values():
    module = shake_batch_norms(Fn(lambda s, x: (y := s.a(x), s.n(y)), a=conv(), n=nn.BatchNorm2d(4)))
    graph = check_traced(module, (4, 5, 6))
    assert graph.outputs == ("a", "n")


def test_two_batch_norms_in_a_row_both_fold():
    module = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.BatchNorm2d(4, eps=0.1), nn.ReLU())
    assert ops(check_traced(shake_batch_norms(module), (4, 5, 6))) == {"conv": 1}


def test_trace_copies_a_convolution_under_two_batch_norms():
    module = Fn(lambda s, x: s.n(s.a(x)) + F.relu(s.m(s.a(x))), a=conv(), n=nn.BatchNorm2d(4), m=nn.BatchNorm2d(4))
    graph = check_traced(shake_batch_norms(module), (4, 5, 6))
    assert [layer.name for layer in graph.layers] == ["a", "a_2"]
    assert {layer.module for layer in graph.layers} == {"a"}
    assert not np.array_equal(graph.weights["a.weight"], graph.weights["a_2.weight"])


def test_a_module_used_twice_gets_two_names():
    inner = nn.Sequential(conv(), nn.ReLU())
    graph = check_traced(Fn(lambda s, x: s.block(s.block(x)), block=inner), (4, 5, 6))
    assert [(layer.name, layer.module) for layer in graph.layers] == [("block.0", "block.0"), ("block.0_2", "block.0")]


def test_names_never_collide_with_each_other_or_the_input():
    class Same(nn.Module):
        def __init__(self):
            super().__init__()
            self.x, self.x_2 = conv(), conv()

        def forward(self, x):
            return self.x(x) + F.relu(self.x_2(self.x(x)))

    graph = check_traced(Same(), (4, 5, 5))
    assert len({graph.input, *(layer.name for layer in graph.layers)}) == len(graph.layers) + 1


def test_trace_takes_outputs_of_every_kind():
    def forward(s, x):
        y = s.a(x)
        return {"same": y, "again": y, "nested": [F.relu(y), (x, s.b(y))]}

    graph = check_traced(Fn(forward, a=conv(), b=conv()), (4, 5, 6))
    assert graph.outputs == ("a", "a", "relu", "copy", "b")


def test_an_output_that_is_also_read_is_not_fused_away():
    graph = check_traced(Fn(lambda s, x: (y := s.a(x), F.relu(y), s.b(y) + y), a=conv(), b=conv()), (4, 5, 6))
    assert graph.outputs == ("a", "relu", "b")


def test_dead_code_is_dropped_even_if_unsupported():
    module = Fn(lambda s, x: (s.a(x), torch.fft.fft(s.b(x)))[0], a=conv(), b=conv())
    assert [layer.name for layer in check_traced(module, (4, 5, 6)).layers] == ["a"]


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d((2, 3), 1, dilation=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 1, (1, 0), count_include_pad=False),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((3, None)),
        nn.AdaptiveMaxPool2d((2, 5)),
    ],
    ids=str,
)
def test_trace_takes_pools(pool):
    graph = check_traced(nn.Sequential(conv(), nn.ReLU(), pool), (4, 12, 10))
    assert [layer.name for layer in graph.layers] == ["0", "2"]


def test_trace_takes_a_global_mean():
    graph = check_traced(Fn(lambda s, x: x.mean((-1, 2), keepdim=True)), (4, 6, 7))
    assert (graph.layers[0].op, graph.layers[0].kernel) == ("avg_pool", (6, 7))


@pytest.mark.parametrize(
    "settings",
    [
        {"scale_factor": 2},
        {"scale_factor": (3, 2), "mode": "bilinear"},
        {"size": (9, 17), "mode": "nearest"},
        {"size": (9, 17), "mode": "bilinear", "align_corners": True},
        {"size": (3, 4), "mode": "bilinear"},
        {"scale_factor": 0.5},
    ],
    ids=str,
)
def test_trace_takes_resizes(settings):
    graph = check_traced(nn.Sequential(conv(), nn.Upsample(**settings), conv()), (4, 6, 8))
    assert ops(graph) == {"conv": 2, "resize": 1}


@sweep.part(8)
@pytest.mark.parametrize("amounts", [(1, 1, 1, 1), (0, 1, 0, 1), (2, 0, 0, 3), (1, 0), (0, 0, 4, 1)], ids=str)
@pytest.mark.parametrize("settings", [{"stride": 2}, {"stride": 1}, {"stride": 3, "kernel": 4}, {"groups": 4}], ids=str)
@pytest.mark.parametrize("size", [(9, 10), (10, 7)])
def test_padding_folds_into_the_convolution(amounts, settings, size):
    module = Fn(lambda s, x: s.c(F.pad(x, amounts)), c=conv(padding=0, **settings))
    assert ops(check_traced(module, (4, *size))) == {"conv": 1}


def test_padding_that_only_feeds_the_stride_costs_nothing():
    module = Fn(lambda s, x: s.c(F.pad(x, (1, 0, 1, 0))), c=conv(stride=2, padding=0))
    layer = check_traced(module, (4, 8, 8)).layers[0]
    assert (layer.kernel, layer.padding) == ((3, 3), (1, 1))


def test_padding_nothing_can_take_becomes_a_layer():
    graph = check_traced(Fn(lambda s, x: F.max_pool2d(F.pad(x, (0, 1, 2, 0)), 2)), (4, 6, 7))
    assert ops(graph) == {"conv": 1, "max_pool": 1}
    module = Fn(lambda s, x: s.c(F.pad(x, (0, 1, 0, 1))), c=conv(dilation=2, padding=0))
    assert ops(check_traced(module, (4, 9, 9))) == {"conv": 2}


def test_padding_read_twice_folds_into_both():
    module = Fn(lambda s, x: s.a(y := F.pad(x, (1, 1, 1, 1))) + s.b(y), a=conv(padding=0), b=conv(padding=0))
    assert ops(check_traced(module, (4, 6, 6))) == {"conv": 2}


def test_trace_takes_concats():
    def forward(s, x):
        y = s.a(x)
        return F.relu(torch.cat([y, x, torch.cat([y, y], -3)], 1))

    graph = check_traced(Fn(forward, a=conv()), (4, 6, 6))
    assert graph.layer("concat_2").inputs == ("a", "x", "concat") or graph.layer("concat").out_shape[0] in (8, 16)
    assert graph.shape(graph.outputs[0])[0] == 16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_weights_of_any_type_become_float32_after_folding(dtype):
    module = shake_batch_norms(nn.Sequential(conv(), nn.BatchNorm2d(4))).to(dtype)
    exact, graph = (trace(module, (4, 5, 5), dtype=kind) for kind in (np.float64, np.float32))
    check_well_formed(graph)
    assert graph.layers == exact.layers
    for name, value in graph.weights.items():
        assert np.array_equal(value, exact.weights[name].astype(np.float32))


def test_an_exported_program_is_taken_as_it_is():
    module = shake_batch_norms(nn.Sequential(conv(), nn.BatchNorm2d(4), nn.ReLU(inplace=True), conv()))
    x = random_input((4, 6, 6))
    program = torch.export.export(module, (torch.zeros(1, 4, 6, 6),))
    for one in (program, program.run_decompositions()):
        graph = trace(one, dtype=np.float64)
        np.testing.assert_allclose(run_graph(graph, x)[0], torch_outputs(module, x)[0], atol=1e-12)
        assert [layer.name for layer in graph.layers] == ["0", "3"]


def test_tracing_leaves_the_module_alone():
    module = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    module[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace(module, (4, 5, 5))
    assert [part.training for part in module.modules()] == [True, True, False, True]
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_graphs_run_in_either_precision_on_inputs_of_their_shape():
    graph, x = trace(nn.Sequential(conv(), nn.ReLU(), conv()), (4, 5, 5)), random_input((4, 5, 5))
    assert run_graph(graph, x, np.float32)[0].dtype == np.float32
    with pytest.raises(UsageError, match=r"takes an input of shape \(1, 4, 5, 5\), got \(1, 4, 5, 6\)"):
        run_graph(graph, random_input((4, 5, 6)))


REFUSED = {
    "unknown op": (
        lambda s, x: s.c(torch.tan(x)),
        r"'tan' in the root module \(small_network.py:\d+\): it is not supported, and has no fallback; write it with",
    ),
    "in a module": (lambda s, x: s.inner(x), r"operator 'tan' in module 'inner'"),
    "constant output": (lambda s, x: s.c.weight, "no output of the module depends on the input; return what"),
    "number output": (lambda s, x: 3, "the module returns no tensor; return tensors, in tuples, lists, dict"),
    "other output": (lambda s, x: [s.c(x), {"kind": object()}], "output 'output_1.kind' is a object; return tensors"),
    "control flow": (lambda s, x: x if x.sum() > 0 else s.c(x), "torch.export cannot trace Fn at"),
    "broken": (lambda s, x: s.c(torch.cat([x, x], 1)), r"Fn does not run on an input \(1, 4, 7, 7\) in module 'c' "),
}


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_no_layer_expresses_is_refused_by_name(function, message):
    module = Fn(function, c=conv(), inner=Fn(lambda s, x: torch.tan(x)))
    with pytest.raises(UsageError, match=message) as error:
        trace(module, (4, 7, 7))
    assert "\n" not in str(error.value)


def test_programs_of_another_form_are_refused():
    two = torch.export.export(Fn(lambda s, x: s.c(x[0] + x[1]), c=conv()), ([torch.zeros(1, 4, 5, 5)] * 2,))
    with pytest.raises(UsageError, match="takes 2 inputs; exactly one tensor is supported; wrap it in a module whose"):
        trace(two)
    batch = torch.export.export(conv(), (torch.zeros(2, 4, 5, 5),))
    with pytest.raises(UsageError, match=r"the input has batch 2; only batch 1 is supported; export it with one pic"):
        trace(batch)
    size = torch.export.Dim("size", min=4, max=64)
    dynamic = torch.export.export(conv(), (torch.zeros(1, 4, 8, 8),), dynamic_shapes=({2: size},))
    with pytest.raises(UsageError, match="fixed size"):
        trace(dynamic)
    two = torch.export.export(Fn(lambda s, x: x[0] + x[1]), ((torch.zeros(1, 4, 5, 5),) * 2,))
    with pytest.raises(UsageError, match="takes 2 inputs"):
        trace(two)
    with pytest.raises(UsageError, match="needs its input shape"):
        trace(conv())
