"""Each kind of replacement on small hostile networks: found, legal or refused with the reason, carried out, counted."""

from __future__ import annotations

from math import prod

import pytest
import torch
import torch.nn.functional as F
from random_weights import check_traced, shake_batch_norms
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.graph.receptive import receptive_fields
from models.replace import (
    Replacement,
    advise,
    compare,
    fold_mean_gates,
    plan_of,
    replace_operators,
)
from models.replace.chain import ConvChain, extent, links_needed
from tests import sweep
from tests.small_network import Fn

SHAPE = (8, 21, 18)


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


def conv(inputs=8, outputs=8, kernel=3, **settings):
    return nn.Conv2d(inputs, outputs, kernel, **{"padding": "same", **settings})


def replaced(module, shape=SHAPE, **settings):
    """The network after all that is planned, checked: same outputs' shapes, account of the parts equals the whole's."""
    torch.manual_seed(0)
    module.eval()
    advice = advise(module, shape, **settings)
    network = replace_operators(module, plan_of(advice))
    before, after = compare(module, network, shape)
    for name in ("macs", "params", "winograd_layers", "winograd_macs", "smooth"):
        parts = sum(getattr(each.after, name) - getattr(each.before, name) for each in advice if each.planned)
        assert parts == getattr(after, name) - getattr(before, name), name
    return network, advice


def steps(network, shape=SHAPE):
    return [str(step) for layer in check_traced(network, shape).layers for step in layer.epilogue]


SMOOTH = [
    nn.SiLU(inplace=True),
    nn.ELU(0.5),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.Hardswish(),
    nn.Mish(),
    nn.SELU(),
    nn.CELU(),
]


@pytest.mark.parametrize("smooth", SMOOTH, ids=str)
def test_replace_swaps_activation_modules(smooth):
    network, advice = replaced(nn.Sequential(conv(), smooth, conv()), activation="relu6")
    assert steps(network) == ["relu6"]
    assert advice[0].before.smooth == prod(SHAPE)
    assert getattr(network[1], "inplace", False) == getattr(smooth, "inplace", False)


@sweep.part(8)
@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: s.b(F.silu(s.a(x))),
        lambda s, x: s.b(F.silu(s.a(x), inplace=True)),
        lambda s, x: s.b(F.elu(s.a(x), 0.5)),
        lambda s, x: s.b(F.gelu(s.a(x), approximate="tanh")),
        lambda s, x: s.b(F.hardswish(s.a(x))),
        lambda s, x: s.b((y := s.a(x)) * torch.sigmoid(y)),
        lambda s, x: s.b((y := s.a(x)).sigmoid() * y),
        lambda s, x: s.b((y := s.a(x)).mul_(F.hardsigmoid(y))),
        lambda s, x: s.b((y := s.a(x)) * s.gate(y)),
    ],
)
@pytest.mark.parametrize(("after", "step"), [("relu", "relu"), ("hardtanh", "hardtanh:-1:1")])
def test_replace_rewrites_activations_written_in_a_forward(function, after, step):
    module = Fn(function, a=conv(), b=conv(), gate=nn.Sigmoid())
    network, advice = replaced(module, activation=after)
    assert [(each.replacement.kind, each.replacement.function) for each in advice] == [("activation", True)]
    assert steps(network) == [step]
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in module.state_dict().items())


def test_only_the_module_that_holds_the_function_is_rewritten():
    inner = Fn(lambda s, x: F.silu(s.c(x)), c=conv())
    module = Fn(lambda s, x: s.inner(x) + F.elu(s.pair(x)[0]), inner=inner, pair=Fn(lambda s, x: (s.c(x), x), c=conv()))
    network, _ = replaced(nn.Sequential(conv(), module, inner), activation="relu")
    assert type(network) is nn.Sequential
    assert network[1].inner is not module.inner
    assert sorted(set(steps(network))) == ["add", "relu"]
    names = set(nn.Sequential(conv(), module, inner).state_dict())
    assert set(network.state_dict()) == names


def test_replace_swaps_custom_and_shared_activation_modules():
    shared = nn.SiLU()
    module = nn.Sequential(conv(), shared, conv(), shared, conv(), Swish())
    network, advice = replaced(module)
    assert network[1] is network[3]
    assert steps(network) == ["relu", "relu", "relu"]
    assert len(advice) == 2


def test_what_fx_cannot_rewrite_is_refused_with_the_reason():
    dropping = Fn(lambda s, x: F.dropout(F.silu(s.c(x)), 0.5, training=s.training), c=conv())
    network, advice = replaced(dropping)
    assert "freeze the training flag" in advice[0].refused
    assert network is not dropping
    looping = Fn(lambda s, x: F.silu(s.c(x)) if range(x.shape[1])[0] == 0 else x, c=conv())
    _, advice = replaced(looping)
    assert advice[0].refused.startswith("torch.fx cannot rewrite Fn")


@sweep.part(5)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "dilation", "stride", "links"),
    [
        *((5, 1, 1, 2), (7, 1, 1, 3), (9, 1, 1, 4)),
        *((3, 2, 1, 2), (3, 3, 1, 3), (3, 4, 1, 4), (5, 2, 1, 4)),
        *((7, 1, 2, 2), (5, 1, 2, 2), (11, 1, 4, 2), (3, 2, 2, 2)),
    ],
)
def test_chains_keep_shape_and_receptive_field(kernel, dilation, stride, links):
    norm = kernel % 4 == 3
    old = conv(8, 6, kernel, dilation=dilation, stride=stride, padding=extent(kernel, dilation) // 2, bias=not norm)
    module = nn.Sequential(old, *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU6())
    advice = advise(module, SHAPE)[0]
    assert (advice.refused, advice.replacement.links) == ("", links)
    network = replace_operators(shake_batch_norms(module), [advice.replacement])
    graph = check_traced(network, SHAPE, tolerance=1e-9)
    assert [layer.stride[0] for layer in graph.layers] == [stride] + [1] * (links - 1)
    assert {str(step) for layer in graph.layers for step in layer.epilogue} == {"relu6"}
    assert graph.layers[-1].out_shape == trace(module, SHAPE).layers[-1].out_shape
    seen = receptive_fields(graph)[graph.outputs[0]].size
    assert seen == advice.after.receptive_field == (3 + 2 * stride * (links - 1),) * 2
    assert seen[0] >= extent(kernel, dilation) == advice.before.receptive_field[0]
    assert links == 1 or 3 + 2 * stride * (links - 2) < extent(kernel, dilation)
    assert graph.macs == advice.after.macs


REFUSED = {
    "even kernel": (conv(kernel=4, padding=1), "even kernel"),
    "no padding": (conv(kernel=7, padding=0), "padding 0x0 does not keep the size"),
    "too much padding": (conv(kernel=7, padding=4), "padding 4x4 does not keep the size"),
    "valid": (conv(kernel=7, padding="valid"), "padding valid does not keep the size"),
    "padded before": (nn.Sequential(nn.ZeroPad2d((3, 3, 2, 4)), conv(kernel=7, padding=0)), "does not keep the size"),
    "uneven axes": (conv(kernel=(1, 7)), "only equal axes"),
    "uneven strides": (conv(kernel=7, stride=(1, 2), padding=3), "only equal axes"),
    "grouped": (conv(kernel=5, groups=2), "grouped"),
    "reflecting": (conv(kernel=7, padding_mode="reflect"), "'reflect'"),
    "a function": (Fn(lambda s, x: F.conv2d(x, s.c.weight, padding=3), c=conv(kernel=7)), "a function in a forward"),
    "a subclass": (type("Mine", (nn.Conv2d,), {})(8, 8, 7, padding=3), "is a Mine"),
}


@pytest.mark.parametrize(("module", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_illegal_convolutions_are_refused_with_the_reason(module, reason):
    network, advice = replaced(module)
    assert len(advice) == 1
    assert reason in advice[0].refused
    assert advice[0].before == advice[0].after
    assert not plan_of(advice)
    assert not any(isinstance(part, ConvChain) for part in network.modules())


def test_a_convolution_with_hooks_is_refused():
    module = conv(kernel=7)
    module.register_forward_hook(lambda *_: None)
    assert "hooks" in advise(module, SHAPE)[0].refused


def test_a_strided_stem_is_legal_but_left_because_it_would_cost_more():
    stem = nn.Sequential(conv(3, 64, 7, stride=2, padding=3), nn.ReLU())
    _, (advice,) = replaced(stem, (3, 64, 64))
    assert (advice.refused, advice.planned, advice.replacement.links) == ("", False, 2)
    assert "more multiplications" in advice.why
    assert advice.winograd_gained == 1


def test_folded_weights_start_as_the_folded_kernel_and_keep_the_mean():
    module = shake_batch_norms(nn.Sequential(conv(8, 6, 7), nn.BatchNorm2d(6), nn.ReLU()))
    network, _ = replaced(module)
    with torch.no_grad():
        flat = torch.rand(1, 8, 1, 1).expand(1, 8, 31, 31)
        assert torch.allclose(network(flat)[..., 8:-8, 8:-8], module(flat)[..., 8:-8, 8:-8], atol=1e-4)
    dilated = shake_batch_norms(nn.Sequential(conv(8, 8, 3, dilation=2), nn.BatchNorm2d(8), nn.ReLU()))
    network = replace_operators(dilated, plan_of(advise(dilated, SHAPE)) or [advise(dilated, SHAPE)[0].replacement])
    plain = nn.Sequential(conv(8, 8), dilated[1], nn.ReLU())
    plain[0].load_state_dict(dilated[0].state_dict())
    x = torch.randn(1, *SHAPE)
    with torch.no_grad():
        assert torch.allclose(network(x), plain(x), atol=1e-4)


def test_a_convolution_used_twice_is_replaced_in_both_places():
    shared = conv(kernel=7)
    network, (advice,) = replaced(nn.Sequential(shared, nn.ReLU(), nn.MaxPool2d(2), shared))
    assert network[0] is network[3]
    assert advice.before.macs == 8 * 8 * 49 * (21 * 18 + 10 * 9)


def test_links_needed():
    assert [links_needed(k, 1, 1) for k in (3, 5, 7, 9, 11)] == [1, 2, 3, 4, 5]


class SqueezeExcitation(nn.Module):
    """As torchvision's: the gate in a method, the product in forward."""

    def __init__(self, channels, squeezed, gate=nn.Hardsigmoid):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation, self.scale_activation = nn.SiLU(), gate()

    def _scale(self, x):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))

    def forward(self, x):
        return self._scale(x) * x


def linear_gate(s, x):
    y = F.adaptive_avg_pool2d(x, 1).flatten(1)
    return x * torch.sigmoid(s.b(F.silu(s.a(y))))[:, :, None, None]


def expanded_gate(s, x):
    batch, channels, _, _ = x.shape
    y = F.adaptive_avg_pool2d(x, 1).view(batch, channels)
    return x * torch.sigmoid(s.b(F.relu(s.a(y)))).view(x.size(0), channels, 1, 1).expand_as(x)


GATED = {
    "module": lambda: SqueezeExcitation(8, 2),
    "sequential": lambda: Fn(
        lambda s, x: x * s.gate(x),
        gate=nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), conv(8, 2, 1), nn.ReLU(), conv(2, 8, 1), nn.Sigmoid()),
    ),
    "mean": lambda: Fn(
        lambda s, x: x.mul(torch.sigmoid(s.b(F.relu(s.a(x.mean((2, 3), keepdim=True)))))),
        a=conv(8, 2, 1),
        b=conv(2, 8, 1),
    ),
    "linear": lambda: Fn(linear_gate, a=nn.Linear(8, 2), b=nn.Linear(2, 8)),
    "expanded": lambda: Fn(expanded_gate, a=nn.Linear(8, 2), b=nn.Linear(2, 8)),
}


@pytest.mark.parametrize("gate", GATED.values(), ids=list(GATED))
def test_squeeze_excite_goes_and_all_else_stays(gate):
    torch.manual_seed(1)
    expand, depthwise, project = conv(4, 8, 1), conv(8, 8, 5, groups=8), conv(8, 4, 1)
    block = nn.Sequential(expand, nn.BatchNorm2d(8), nn.Hardswish(), depthwise, nn.Hardswish(), gate(), project)
    module = Fn(lambda s, x: x + s.block(x), block=block)
    network, advice = replaced(module, (4, 9, 9))
    (removal,) = (each for each in advice if each.replacement.kind == "squeeze_excite")
    assert removal.planned
    assert removal.before.params == sum(parameter.numel() for parameter in block[5].parameters())
    assert removal.before.macs == 8 * 2 * 2
    assert removal.before.receptive_field is None
    assert steps(network, (4, 9, 9)) == ["relu", "relu", "add"]
    kept = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith("block.5.")}
    assert kept.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in kept.items())


def test_mean_gates_fold_into_the_convolution_behind():
    torch.manual_seed(3)
    gates = [SqueezeExcitation(8, 2, nn.Sigmoid) for _ in range(3)]
    # the first reads a plain convolution, the second a depthwise one, the third nothing
    module = nn.Sequential(conv(), gates[0], conv(kernel=1), gates[1], conv(groups=8), gates[2]).eval()
    plan = plan_of(advise(module, SHAPE, only=["squeeze_excite"]))
    images = [torch.randn(2, *SHAPE) for _ in range(3)]
    network = replace_operators(module, plan)
    answers = fold_mean_gates(module, network, plan, images)
    other = "what reads it is not one plain convolution"
    assert answers == {"1": "folded into 2", "3": other, "5": other}
    first, bare = nn.Sequential(*module[:3]), nn.Sequential(*replace_operators(module, plan)[:3])
    folded, x = nn.Sequential(*network[:3]), torch.cat(images)
    with torch.no_grad():
        errors = [(part(x) - first(x)).square().mean() for part in (folded, bare)]
        assert errors[0] < 0.05 * errors[1]
        nn.init.zeros_(gates[0].fc2.weight)  # now the gate is constant, so nothing at all is lost
        network = replace_operators(module, plan)
        fold_mean_gates(module, network, plan, images)
        assert torch.allclose(nn.Sequential(*network[:3])(x), first(x), atol=1e-5)
    with pytest.raises(UsageError, match="needs images"):
        fold_mean_gates(module, network, plan, [])


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: x * torch.sigmoid(s.c(x)),
        lambda s, x: x * torch.sigmoid(x.mean(1, keepdim=True)),
        lambda s, x: x * s.c(x),
    ],
)
def test_other_products_are_no_squeeze_excite(function):
    _, advice = replaced(Fn(function, c=conv()))
    assert not advice


def test_replace_takes_two_gates_in_one_forward_but_no_gate_of_another_tensor():
    def twice(s, x):
        for gate in (s.a, s.b):
            x = x * torch.sigmoid(gate(F.adaptive_avg_pool2d(x, 1)))
        return x

    network, (advice,) = replaced(Fn(twice, a=conv(kernel=1), b=conv(kernel=1)))
    assert advice.replacement.before == "2 squeeze-excites"
    assert not list(network.parameters())
    cross = Fn(
        lambda s, x: s.b(x) * torch.sigmoid(s.a(F.adaptive_avg_pool2d(x, 1))), a=conv(kernel=1), b=conv(kernel=1)
    )
    _, advice = replaced(cross)
    assert not plan_of(advice)


def test_advise_takes_only_some_kinds_and_refuses_bad_names():
    module = nn.Sequential(conv(kernel=7), nn.SiLU())
    assert [each.replacement.kind for each in advise(module, SHAPE, only=["activation"])] == ["activation"]
    with pytest.raises(UsageError, match="did you mean 'kernel'"):
        advise(module, SHAPE, only=["kernels"])
    with pytest.raises(UsageError, match="unknown activation 'swish'"):
        advise(module, SHAPE, activation="swish")
    with pytest.raises(UsageError, match="unknown activation 'swish'"):
        Replacement("activation", "1", "silu", "swish")


@pytest.mark.slow
def test_latency_decides_and_sorts_where_it_is_given():
    def latency(graph):
        return sum(
            layer.macs * 1e-9 + 1e-3 * any(step.kind == "silu" for step in layer.epilogue) for layer in graph.layers
        )

    module = nn.Sequential(conv(kernel=3, dilation=2), nn.SiLU(), conv(kernel=7), nn.ReLU())
    advice = advise(module, SHAPE, latency_of=latency)
    assert [each.replacement.path for each in advice] == ["1", "2", "0"]
    assert [each.planned for each in advice] == [True, True, False]
    assert advice[0].saved_secs == pytest.approx(1e-3)
    assert advice[1].saved_secs == pytest.approx(advice[1].saved_macs * 1e-9)
    before, after = compare(module, replace_operators(module, plan_of(advice)), SHAPE, latency)
    assert before.secs - after.secs == pytest.approx(sum(each.saved_secs for each in advice[:2]))
    assert advise(SqueezeExcitation(8, 2), SHAPE, latency_of=latency)[0].saved_secs == pytest.approx(1e-3, rel=1e-3)


def test_the_random_state_of_torch_and_training_modes_are_left_alone():
    module = nn.Sequential(conv(kernel=7), nn.BatchNorm2d(8), nn.ReLU(), Fn(lambda s, x: F.silu(x))).train()
    state = torch.random.get_rng_state()
    network = replace_operators(module, plan_of(advise(module, SHAPE, latency_of=lambda graph: float(graph.macs))))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(part.training for part in (*module.modules(), *network.modules()))
